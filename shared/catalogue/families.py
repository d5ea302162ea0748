"""Which pipeline families can denoise many images together, a step of each at a time."""


def batched_families() -> frozenset[str]:
    """Return the pipeline classes whose images share forward passes; any other runs whole, one at a time."""
    return frozenset(
        {
            "FluxPipeline",
            "Flux2KleinPipeline",
            "QwenImagePipeline",
            "StableDiffusionPipeline",
            "StableDiffusion3Pipeline",
            "StableDiffusionXLPipeline",
            "ZImagePipeline",
        }
    )
