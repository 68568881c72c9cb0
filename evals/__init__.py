"""Measures retrieval on public data sets, from outside: only public names of the memory layer are used."""
