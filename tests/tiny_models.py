"""Tiny random models of many families with real tokenizers and processors, made offline.

They know nothing. They show that code reaches every family; what editing does is shown on the
testbed models.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from editors.lm import LM
from editors.prompts import PromptFormat

HIDDEN, HEADS, LAYERS, MLP = 32, 4, 3, 48
IMAGE_SIDE, PATCH = 28, 14
SPECIAL = (
    *("<pad>", "<s>", "</s>", "<image>", "<|image_pad|>", "<|video_pad|>"),
    *("<|vision_start|>", "<|vision_end|>"),
)

CHAT = (
    "{% for message in messages %}<s>{{ message['role'] }}: "
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
"""A chat template such as instruction models have."""


def tokenizer(chat: bool = False) -> Any:
    """A byte-level tokenizer, a few hundred tokens of whole words and bytes."""
    import transformers as hf

    made = hf.PreTrainedTokenizerFast(
        tokenizer_object=_bpe(),
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=[t for t in SPECIAL if t not in ("<pad>", "<s>", "</s>")],
    )
    if chat:
        made.chat_template = CHAT
    return made


@cache
def _bpe() -> Any:
    import tokenizers

    bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=360,
        special_tokens=list(SPECIAL),
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    text = [
        "The capital of France is Paris. What country is shown? Ann Smith was born in Rome."
    ] * 9
    bpe.train_from_iterator(text, trainer)
    return bpe


def tiny(
    family: str = "gpt2",
    *,
    seed: int = 0,
    prompt_format: PromptFormat = "plain",
    positions: int = 256,
    chat: bool = False,
) -> LM:
    """A random model of one family of `TEXT` or `VISION`.

    Args:
        family: Its name.
        seed: Seed of the weights.
        prompt_format: How prompts are put to it.
        positions: Tokens it can read.
        chat: Whether it has a chat template.
    """
    torch.manual_seed(seed)
    words = tokenizer(chat)
    if family in TEXT:
        model = TEXT[family](_text_sizes(words, positions))
        return LM(model, words, name=f"tiny-{family}", prompt_format=prompt_format)
    model, processor = VISION[family](words, positions)
    if chat:
        processor.chat_template = CHAT
    return LM(model, processor, name=f"tiny-{family}", prompt_format=prompt_format)


def _text_sizes(words: Any, positions: int) -> dict[str, Any]:
    return {
        "vocab_size": len(words),
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS // 2,
        "intermediate_size": MLP,
        "head_dim": HIDDEN // HEADS,
        "max_position_embeddings": positions,
        "pad_token_id": words.pad_token_id,
        "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id,
        "tie_word_embeddings": False,
        "initializer_range": 0.3,
    }


def _gpt2(sizes: dict[str, Any]) -> Any:
    import transformers as hf

    return hf.GPT2LMHeadModel(
        hf.GPT2Config(
            vocab_size=sizes["vocab_size"],
            n_embd=HIDDEN,
            n_layer=LAYERS,
            n_head=HEADS,
            n_inner=MLP,
            n_positions=sizes["max_position_embeddings"],
            initializer_range=0.3,
            pad_token_id=sizes["pad_token_id"],
            bos_token_id=sizes["bos_token_id"],
            eos_token_id=sizes["eos_token_id"],
        )
    )


def _gptj(sizes: dict[str, Any]) -> Any:
    import transformers as hf

    return hf.GPTJForCausalLM(
        hf.GPTJConfig(
            vocab_size=sizes["vocab_size"],
            n_embd=HIDDEN,
            n_layer=LAYERS,
            n_head=HEADS,
            n_inner=MLP,
            rotary_dim=4,
            n_positions=sizes["max_position_embeddings"],
            initializer_range=0.3,
            pad_token_id=sizes["pad_token_id"],
            bos_token_id=sizes["bos_token_id"],
            eos_token_id=sizes["eos_token_id"],
            tie_word_embeddings=False,
        )
    )


def _opt(sizes: dict[str, Any]) -> Any:
    import transformers as hf

    return hf.OPTForCausalLM(
        hf.OPTConfig(
            **_without(sizes, "intermediate_size", "num_key_value_heads", "head_dim"),
            ffn_dim=MLP,
            word_embed_proj_dim=HIDDEN,
            init_std=0.3,
        )
    )


def _falcon(sizes: dict[str, Any]) -> Any:
    import transformers as hf

    return hf.FalconForCausalLM(
        hf.FalconConfig(
            **_without(sizes, "intermediate_size", "num_key_value_heads", "head_dim"),
            ffn_hidden_size=MLP,
        )
    )


def _bloom(sizes: dict[str, Any]) -> Any:
    import transformers as hf

    return hf.BloomForCausalLM(
        hf.BloomConfig(
            vocab_size=sizes["vocab_size"],
            hidden_size=HIDDEN,
            n_layer=LAYERS,
            n_head=HEADS,
            initializer_range=0.3,
            pad_token_id=sizes["pad_token_id"],
            bos_token_id=sizes["bos_token_id"],
            eos_token_id=sizes["eos_token_id"],
        )
    )


def _like_llama(config: str, model: str, **more: Any) -> Callable[[dict[str, Any]], Any]:
    def build(sizes: dict[str, Any]) -> Any:
        import transformers as hf

        return getattr(hf, model)(getattr(hf, config)(**sizes, **more))

    return build


def _plain_heads(config: str, model: str) -> Callable[[dict[str, Any]], Any]:
    def build(sizes: dict[str, Any]) -> Any:
        import transformers as hf

        kept = _without(sizes, "num_key_value_heads", "head_dim")
        return getattr(hf, model)(getattr(hf, config)(**kept))

    return build


def _without(sizes: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in sizes.items() if name not in names}


TEXT: dict[str, Callable[[dict[str, Any]], Any]] = {
    "gpt2": _gpt2,
    "gptj": _gptj,
    "gpt_neox": _plain_heads("GPTNeoXConfig", "GPTNeoXForCausalLM"),
    "opt": _opt,
    "falcon": _falcon,
    "bloom": _bloom,
    "phi": _plain_heads("PhiConfig", "PhiForCausalLM"),
    "llama": _like_llama("LlamaConfig", "LlamaForCausalLM"),
    "mistral": _like_llama("MistralConfig", "MistralForCausalLM"),
    "qwen3": _like_llama("Qwen3Config", "Qwen3ForCausalLM"),
    "gemma2": _like_llama("Gemma2Config", "Gemma2ForCausalLM", query_pre_attn_scalar=8),
    "gemma3": _like_llama("Gemma3TextConfig", "Gemma3ForCausalLM", query_pre_attn_scalar=8),
    "olmo2": _like_llama("Olmo2Config", "Olmo2ForCausalLM"),
}


def _vision_sizes() -> dict[str, Any]:
    return {
        "hidden_size": HIDDEN,
        "intermediate_size": MLP,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "image_size": IMAGE_SIDE,
        "patch_size": PATCH,
    }


def _llava(words: Any, positions: int) -> tuple[Any, Any]:
    import transformers as hf
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    config = hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(**_vision_sizes()),
        text_config=hf.LlamaConfig(**_text_sizes(words, positions)),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
    )
    model = hf.LlavaForConditionalGeneration(config)
    processor = hf.LlavaProcessor(
        image_processor=CLIPImageProcessorPil(
            size={"shortest_edge": IMAGE_SIDE},
            crop_size={"height": IMAGE_SIDE, "width": IMAGE_SIDE},
        ),
        tokenizer=words,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    return model, processor


def _qwen2_5_vl(words: Any, positions: int) -> tuple[Any, Any]:
    import transformers as hf
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    config = hf.Qwen2_5_VLConfig(
        text_config={
            **_text_sizes(words, positions),
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10_000.0,
                "mrope_section": [1, 1, 2],
            },
        },
        vision_config={
            "depth": 2,
            "hidden_size": HIDDEN,
            "intermediate_size": MLP,
            "num_heads": HEADS,
            "out_hidden_size": HIDDEN,
            "patch_size": PATCH,
            "window_size": 2 * PATCH,
            "fullatt_block_indexes": [1],
        },
        image_token_id=words.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=words.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=words.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=words.convert_tokens_to_ids("<|vision_end|>"),
    )
    model = hf.Qwen2_5_VLForConditionalGeneration(config)
    processor = _without_video()(
        image_processor=Qwen2VLImageProcessorPil(
            min_pixels=4 * PATCH * PATCH, max_pixels=16 * PATCH * PATCH
        ),
        tokenizer=words,
    )
    return model, processor


@cache
def _without_video() -> Any:
    """Qwen2.5-VL's processor for pictures alone: that of videos wants torchvision."""
    import transformers as hf
    from transformers.processing_utils import ProcessorMixin

    class Processor(hf.Qwen2_5_VLProcessor):
        def __init__(self, image_processor: Any, tokenizer: Any, chat_template: Any = None) -> None:
            self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
            self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
            self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
            ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)

    return Processor


def _blip2(words: Any, positions: int) -> tuple[Any, Any]:
    import transformers as hf
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    sizes = _without(
        _text_sizes(words, positions), "intermediate_size", "num_key_value_heads", "head_dim"
    )
    config = hf.Blip2Config(
        vision_config=_vision_sizes(),
        qformer_config={
            "vocab_size": len(words),
            "hidden_size": HIDDEN,
            "num_hidden_layers": 2,
            "num_attention_heads": HEADS,
            "intermediate_size": MLP,
            "encoder_hidden_size": HIDDEN,
        },
        text_config={
            **sizes,
            "model_type": "opt",
            "ffn_dim": MLP,
            "word_embed_proj_dim": HIDDEN,
        },
        num_query_tokens=4,
        image_token_index=words.convert_tokens_to_ids("<image>"),
    )
    model = hf.Blip2ForConditionalGeneration(config)
    processor = hf.Blip2Processor(
        BlipImageProcessorPil(size={"height": IMAGE_SIDE, "width": IMAGE_SIDE}),
        words,
        num_query_tokens=4,
    )
    return model, processor


VISION: dict[str, Callable[[Any, int], tuple[Any, Any]]] = {
    "llava": _llava,
    "qwen2_5_vl": _qwen2_5_vl,
    "blip2": _blip2,
}

FAMILIES = (*TEXT, *VISION)
