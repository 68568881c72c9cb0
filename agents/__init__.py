"""LangGraph agents that use the memory layer."""
