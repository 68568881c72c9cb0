"""Recommenders to be compared; ``registry`` lists them, ``port`` says what one of your own needs."""
