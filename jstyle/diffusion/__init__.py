"""The mathematics of diffusion, without files: noise schedule, samplers, guidance, random numbers, prompts."""
