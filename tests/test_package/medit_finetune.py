"""Fine-tuning of one MLP projection until it gives the new answers."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from editors.anatomy import parameter_name
from editors.base import EditedModel
from editors.lm import LM
from editors.prompts import Query
from schemas.records import EditRequest


@dataclass(frozen=True)
class FineTune:
    """Steps of fixed length down the gradient of the new answers' cross-entropy."""

    layer: int
    steps: int = 20
    length: float = 0.1
    name: str = "finetune"

    @classmethod
    def for_model(cls, lm: LM, *, layer: int = -1, steps: int = 20, length: float = 0.1):
        return cls(range(len(lm.anatomy.blocks))[layer], steps, length)

    def apply(self, lm: LM) -> EditedModel:
        return FineTuned(lm, self)


class FineTuned(EditedModel):
    def __init__(self, lm: LM, settings: FineTune) -> None:
        super().__init__(lm)
        self.settings = settings

    def _edit(self, requests: Sequence[EditRequest]) -> None:
        projection = self.lm.anatomy.projections[self.settings.layer]
        name, weight = parameter_name(self.lm.model, projection), projection.get_parameter("weight")
        queries = [Query(request.prompt, request.image) for request in requests]
        batch = self.lm.encode(queries, [request.target_new for request in requests])
        for _ in range(self.settings.steps):
            weight.requires_grad_(True)
            logits = self.lm.forward(batch, keep=batch.target_ids.shape[1] + 1)[:, :-1]
            ids = batch.target_ids[batch.target_mask].to(logits.device)
            loss = torch.nn.functional.cross_entropy(logits[batch.target_mask], ids)
            (gradient,) = torch.autograd.grad(loss, weight)
            weight.requires_grad_(False)
            self.write(name, -self.settings.length * gradient / gradient.norm())
