"""Tuning of models on preference pairs: DPO with LoRA adapters that vLLM loads. Extra ``tune``.

Importing this package loads no model library: names are loaded when they are first used.
"""
