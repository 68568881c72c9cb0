"""The torch module of SASRec. Imports torch: import it where it is used."""

from __future__ import annotations

import torch
from torch import nn

_PAD = 0


class Transformer(nn.Module):
    """For sequences of item codes from 1, 0 for none (n, length), log-odds of what comes next (n, length, items)."""

    causal: torch.Tensor

    def __init__(self, *, items: int, factors: int, blocks: int, heads: int, length: int, dropout: float) -> None:
        super().__init__()
        self.item = nn.Embedding(items + 1, factors, padding_idx=_PAD)
        self.place = nn.Embedding(length, factors)
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(
            factors, heads, 4 * factors, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(layer, blocks, norm=nn.LayerNorm(factors), enable_nested_tensor=False)
        self.register_buffer("causal", torch.triu(torch.ones(length, length, dtype=torch.bool), 1), persistent=False)
        nn.init.normal_(self.item.weight, std=factors**-0.5)
        with torch.no_grad():
            self.item.weight[_PAD] = 0.0

    def hidden(self, sequences: torch.Tensor) -> torch.Tensor:
        """The state after each choice, (n, length, factors). Nobody looks at what comes later, nor at padding.

        Padding looks at itself, or its softmax would be over nothing.
        """
        n, length = sequences.shape
        states = self.dropout(self.item(sequences) * self.item.embedding_dim**0.5 + self.place.weight[-length:])
        hidden = (sequences == _PAD)[:, None, :] | self.causal[:length, :length]
        hidden = hidden & ~torch.eye(length, dtype=torch.bool)
        heads = self.blocks.layers[0].self_attn.num_heads
        mask = hidden[:, None].expand(n, heads, length, length).reshape(n * heads, length, length)
        result: torch.Tensor = self.blocks(states, mask=mask)
        return result

    def forward(self, sequences: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self.hidden(sequences) @ self.item.weight[1:].T

    def loss(self, sequences: torch.Tensor, following: torch.Tensor) -> torch.Tensor:
        """Cross-entropy over all items, where something follows."""
        there = following != _PAD
        odds = self.hidden(sequences)[there] @ self.item.weight[1:].T
        return nn.functional.cross_entropy(odds, following[there] - 1)
