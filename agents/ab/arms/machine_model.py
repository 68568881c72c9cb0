"""The torch module of FM and DeepFM. Imports torch: import it where it is used."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from memagent.agents.ab.arms.fields import Fields


class Machine(nn.Module):
    """Log-odds that a user (n,) chooses each of some items (n, m), float32 (n, m).

    Sum of the weights of the features, of the inner products of all pairs of fields' embeddings (by the square of sums
    less the sum of squares; Rendle, 2010, lemma 3.1), and, with ``layers``, of a network on the embeddings side by
    side.
    """

    users: torch.Tensor
    items: torch.Tensor
    genres: torch.Tensor

    def __init__(self, fields: Fields, *, factors: int, layers: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        self.register_buffer("users", torch.from_numpy(fields.users), persistent=False)
        self.register_buffer("items", torch.from_numpy(fields.items), persistent=False)
        self.register_buffer("genres", torch.from_numpy(fields.genres), persistent=False)
        self.embedding = nn.Embedding(fields.size + 1, factors, padding_idx=fields.size)
        self.weight = nn.Embedding(fields.size + 1, 1, padding_idx=fields.size)
        self.bias = nn.Parameter(torch.zeros(()))
        nn.init.normal_(self.embedding.weight, std=0.05)
        nn.init.zeros_(self.weight.weight)
        with torch.no_grad():
            self.embedding.weight[fields.size] = 0.0
        self._pad = fields.size
        columns = fields.users.shape[1] + fields.items.shape[1] + 1
        widths = [columns * factors, *layers]
        parts: list[nn.Module] = []
        for below, above in pairwise(widths):
            parts += [nn.Linear(below, above), nn.ReLU(), nn.Dropout(dropout)]
        self.deep = nn.Sequential(*parts, nn.Linear(widths[-1], 1)) if layers else None

    def forward(self, users: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """See the class."""
        n, m = items.shape
        of_user, of_item = self.users[users], self.items[items]
        genres = self.genres[items]
        there = (genres != self._pad).sum(dim=-1, keepdim=True).clamp(min=1)
        genre = self.embedding(genres).sum(dim=-2) / there
        u = self.embedding(of_user)[:, None].expand(n, m, -1, -1)
        vectors = torch.cat([u, self.embedding(of_item), genre[:, :, None]], dim=2)
        linear = self.weight(of_user).sum(dim=(1, 2))[:, None] + self.weight(of_item).sum(dim=(2, 3))
        linear = linear + (self.weight(genres).sum(dim=-2) / there)[..., 0]
        pairs = 0.5 * (vectors.sum(dim=2).square() - vectors.square().sum(dim=2)).sum(dim=-1)
        odds: torch.Tensor = self.bias + linear + pairs
        return odds if self.deep is None else odds + self.deep(vectors.flatten(2))[..., 0]
