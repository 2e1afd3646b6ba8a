"""The parts of the vision-language model: a LLaVA around a text model, and how its tower learns."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from editors.lm import LM
from medit_eval.testbed.pictures import SIDE
from medit_eval.testbed.tokens import IMAGE

MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""What CLIP's image processor subtracts and divides by, per colour."""


class Namer(nn.Module):
    """A vision tower with a head that names what its patches show."""

    def __init__(self, tower: nn.Module, width: int, kinds: int) -> None:
        super().__init__()
        self.tower = tower
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, kinds)

    def forward(self, pixels: Tensor) -> Tensor:
        """Scores of all kinds, shape (n, kinds), for pictures of shape (n, 3, side, side)."""
        # The patches alone, as LLaVA hands them on: what is to be known has to be in them.
        patches = self.tower(pixels).last_hidden_state[:, 1:]
        return self.head(self.norm(patches).mean(1))


def new_vision_model(text: LM, *, layers: int, width: int, patch: int, seed: int) -> Any:
    """A LLaVA around a text model, with a new vision tower and projector.

    Args:
        text: The text model, a GPT-2.
        layers: Blocks of the vision tower.
        width: Its width.
        patch: Pixels per side of a patch.
        seed: Seed of the new weights.
    """
    import transformers as hf

    torch.manual_seed(seed)
    language = copy.deepcopy(text.config)
    language.name_or_path = ""  # where it lay is nobody's business
    language.tie_word_embeddings = False  # LLaVA ties by a name that GPT-2 does not have
    config = hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(
            hidden_size=width,
            intermediate_size=4 * width,
            num_hidden_layers=layers,
            num_attention_heads=width // 32,
            image_size=SIDE,
            patch_size=patch,
        ),
        text_config=language,
        image_token_index=text.tokenizer.convert_tokens_to_ids(IMAGE),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
    )
    model: Any = hf.LlavaForConditionalGeneration(config)
    model.model.language_model.load_state_dict(text.model.base_model.state_dict())
    with torch.no_grad():
        model.lm_head.weight.copy_(text.model.get_output_embeddings().weight)
    return model.float().to(text.device)


def new_processor(tokenizer: Any, *, patch: int) -> Any:
    """The processor of such a model.

    Args:
        tokenizer: The text model's tokenizer.
        patch: Pixels per side of a patch.
    """
    import transformers as hf
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    return hf.LlavaProcessor(
        image_processor=CLIPImageProcessorPil(
            size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
        ),
        tokenizer=tokenizer,
        patch_size=patch,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token=IMAGE,
    )


def normalised(pixels: NDArray[np.floating[Any]]) -> Tensor:
    """Pictures in 0..1 the way CLIP's image processor hands them on."""
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, DEVIATION))
    return (torch.from_numpy(pixels.astype(np.float32)) - mean) / deviation
