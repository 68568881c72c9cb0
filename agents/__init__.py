"""LangGraph agents that use the memory layer. None is shipped yet."""
