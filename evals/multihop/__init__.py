"""Questions that need several passages: data files, a made-up world, systems that answer them, and their figures."""
