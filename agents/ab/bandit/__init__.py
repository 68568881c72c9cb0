"""Off-policy evaluation: what a recommender would have earned, from the log of another one.

``log`` (values), ``open_bandit`` (loader), ``rewards`` (models of the reward), ``estimators`` (IPS, SNIPS, DR),
``crosscheck`` (two recommenders on one log), ``made_up`` (logs whose truth is known, and the check of the estimators).
"""
