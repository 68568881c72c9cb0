"""How clearly a model prefers what was chosen: accuracy and margin over pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memagent.errors import InvalidInput
from memagent.tuning.pairs import PreferencePair

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A pair as tokens: the prompt's, and each output's with what the chat template puts behind it."""

    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]

    @property
    def length(self) -> int:
        """Tokens of the prompt and the longer output."""
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))


@dataclass(frozen=True, slots=True, kw_only=True)
class Likelihood:
    """The natural log probabilities of a pair's two outputs after its prompt, each summed over its tokens."""

    chosen: float
    rejected: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PairMeasure:
    """How a model does on ``pairs`` pairs.

    ``accuracy``: the share for which the reward of what was chosen is the higher one, and ``margin`` the mean
    difference, both by DPO's implicit reward beta * (log p - log p_reference); for the reference itself they are 0.
    ``likelier``: the share for which the chosen output is the likelier one, without a reference.
    """

    pairs: int
    accuracy: float
    margin: float
    likelier: float


def tokenised(tokenizer: PreTrainedTokenizerBase, pair: PreferencePair) -> Example:
    """A pair as trl's trainers tokenise it: an output begins where prompt and whole conversation part.

    Raises InvalidInput if the chat template refuses its messages.
    """
    messages = pair.messages()
    alone = _ids(tokenizer, messages["prompt"], generate=True)
    chosen = _ids(tokenizer, messages["prompt"] + messages["chosen"], generate=False)
    rejected = _ids(tokenizer, messages["prompt"] + messages["rejected"], generate=False)
    begins = min(_shared(alone, chosen), _shared(alone, rejected))
    return Example(prompt=tuple(alone[:begins]), chosen=tuple(chosen[begins:]), rejected=tuple(rejected[begins:]))


def likelihoods(model: Any, examples: Sequence[Example], *, told: Told | None = None) -> list[Likelihood]:
    """The log probabilities of each example's outputs, a forward pass for each; the model is left in eval mode."""
    import torch

    model.eval()
    found: list[Likelihood] = []
    with torch.no_grad():
        for place, example in enumerate(examples):
            chosen, rejected = (
                _log_probability(model, example.prompt, output) for output in (example.chosen, example.rejected)
            )
            found.append(Likelihood(chosen=chosen, rejected=rejected))
            if told:
                told(place + 1, len(examples))
    return found


def measure(model: Sequence[Likelihood], reference: Sequence[Likelihood], *, beta: float) -> PairMeasure:
    """Accuracy and margin from the log probabilities of a model and of its reference, pair by pair."""
    if not model:
        return PairMeasure(pairs=0, accuracy=0.0, margin=0.0, likelier=0.0)
    margins = [
        beta * ((own.chosen - old.chosen) - (own.rejected - old.rejected))
        for own, old in zip(model, reference, strict=True)
    ]
    return PairMeasure(
        pairs=len(margins),
        accuracy=sum(margin > 0 for margin in margins) / len(margins),
        margin=sum(margins) / len(margins),
        likelier=sum(own.chosen > own.rejected for own in model) / len(model),
    )


def _log_probability(model: Any, prompt: Sequence[int], output: Sequence[int]) -> float:
    import torch

    device = next(model.parameters()).device
    ids: torch.Tensor = torch.tensor([[*prompt, *output]], device=device)
    # Only the output's own logits are computed: those of a long prompt would take gigabytes.
    logits = model(input_ids=ids, use_cache=False, logits_to_keep=len(output) + 1).logits[0, :-1]
    scores = torch.log_softmax(logits.float(), dim=-1)
    wanted = torch.tensor(list(output), device=device)
    return float(scores.gather(1, wanted[:, None]).sum())


def _ids(tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, str]], *, generate: bool) -> list[int]:
    from jinja2 import TemplateError

    template: Any = tokenizer.apply_chat_template
    try:
        made = template(messages, tokenize=True, add_generation_prompt=generate, return_dict=True)
    except TemplateError as error:
        raise InvalidInput(
            f"the model's chat template refuses a pair: {error}",
            hint="where it takes no system message, put the pairs' `instruction` before their `input`",
        ) from error
    return list(made["input_ids"])


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    shared = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        shared += 1
    return shared
