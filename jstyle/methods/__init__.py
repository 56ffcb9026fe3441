"""Ways to make pictures: the table of methods, what they share, and a folder for each.

Two methods have their folders beside `jstyle`: `styleid` and `style_align`.
"""
