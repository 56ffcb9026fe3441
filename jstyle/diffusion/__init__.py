"""The mathematics of diffusion, free of files: noise schedule, samplers, guidance, random numbers, prompts."""
