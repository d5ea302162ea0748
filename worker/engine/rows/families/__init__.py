"""One adapter for each kind of diffusers pipeline whose images can be denoised together."""
