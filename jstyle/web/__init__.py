"""The web page: forms made from the tables, a queue, and a worker process that holds the model.

The page's own process starts no Jittor, so it answers while a picture is made. Gradio is imported by `page` alone.
"""
