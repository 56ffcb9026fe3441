"""Models taught a style each: which styles there are, how each is trained, and what of it is finished.

A training is a task of ``jstyle.jobs``, one a style. It is recognised by what it is made of - pictures, settings,
model - so a run can be killed and started again, on any number of workers, and what was finished stays.
"""
