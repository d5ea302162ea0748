"""The row engine: many images denoised together, each with its own steps, guidance and scheduler.

A row is one image. It is prepared (text encoded, latents drawn), joins the batch of its bucket at any tick,
and leaves it when its own steps are done; a tick is one forward pass of the denoiser over a bucket's rows.
What differs between kinds of pipelines is in ``families``; nothing here knows queues or files.
"""
