"""The pages of the gallery, in their order; a page is one file with one :class:`Story`."""

from perfmodel.gallery.stories import (
    disaggregation,
    edge_npu,
    fp4,
    gpu_for_chat,
    long_context,
    mla_gqa,
    model_2028,
    moe_72,
    phone,
    pim,
    speculation,
    wafer,
)
from perfmodel.gallery.story import Story

STORIES: tuple[Story, ...] = (
    gpu_for_chat.STORY, mla_gqa.STORY, fp4.STORY, moe_72.STORY, phone.STORY, edge_npu.STORY, pim.STORY, wafer.STORY,
    long_context.STORY, speculation.STORY, disaggregation.STORY, model_2028.STORY,
)  # fmt: skip

__all__ = ["STORIES"]
