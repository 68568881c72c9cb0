"""Can the simulated users be believed? Tests with a known answer, for any policy.

``findings`` (what a test says), ``setting`` (what tests share), ``trends`` and ``trend_tables`` (their statistics);
then a module for each angle: ``order`` (model), ``shares`` (data), ``fields`` (features), ``lists`` (taste),
``activity``, ``alignment`` with ``judges``, ``errors`` (of the tests themselves), ``bandits`` (off-policy); ``report``.
"""
