"""Schedulers under diffusers' names: the layer that lets a script step through a sampler with a network of its own.

>>> import jstyle
>>> scheduler = jstyle.DDIMScheduler.from_pretrained("tiny", subfolder="scheduler")
>>> scheduler = jstyle.EulerDiscreteScheduler.from_config(scheduler.config)
>>> scheduler.set_timesteps(4)
>>> len(scheduler.timesteps)
4
"""
