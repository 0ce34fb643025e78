"""A job from its beginning to its end: where it runs, what is done for it step by step, following and stopping it."""
