"""Model families: one file each, which reads the config of its ``model_type``; a new family is one more import."""

from __future__ import annotations

from perfmodel.workloads.families import cohere as cohere
from perfmodel.workloads.families import deepseek as deepseek
from perfmodel.workloads.families import deepseek_sparse as deepseek_sparse
from perfmodel.workloads.families import deepseek_v4 as deepseek_v4
from perfmodel.workloads.families import encoder_decoders as encoder_decoders
from perfmodel.workloads.families import encoders as encoders
from perfmodel.workloads.families import falcon as falcon
from perfmodel.workloads.families import gated_delta as gated_delta
from perfmodel.workloads.families import gemma as gemma
from perfmodel.workloads.families import gemma3n as gemma3n
from perfmodel.workloads.families import gemma4 as gemma4
from perfmodel.workloads.families import glm as glm
from perfmodel.workloads.families import glm_vl as glm_vl
from perfmodel.workloads.families import gpt as gpt
from perfmodel.workloads.families import gpt_oss as gpt_oss
from perfmodel.workloads.families import granite as granite
from perfmodel.workloads.families import hybrids as hybrids
from perfmodel.workloads.families import intern_vl as intern_vl
from perfmodel.workloads.families import kimi_vl as kimi_vl
from perfmodel.workloads.families import layernorm as layernorm
from perfmodel.workloads.families import layers as layers
from perfmodel.workloads.families import linear_attention as linear_attention
from perfmodel.workloads.families import llama as llama
from perfmodel.workloads.families import llama_like as llama_like
from perfmodel.workloads.families import llava as llava
from perfmodel.workloads.families import mamba as mamba
from perfmodel.workloads.families import minimax as minimax
from perfmodel.workloads.families import mistral as mistral
from perfmodel.workloads.families import mistral_vl as mistral_vl
from perfmodel.workloads.families import mixtral as mixtral
from perfmodel.workloads.families import more_dense as more_dense
from perfmodel.workloads.families import more_experts as more_experts
from perfmodel.workloads.families import multimodal as multimodal
from perfmodel.workloads.families import nemotron_h as nemotron_h
from perfmodel.workloads.families import olmo as olmo
from perfmodel.workloads.families import phi as phi
from perfmodel.workloads.families import qwen as qwen
from perfmodel.workloads.families import qwen_moe as qwen_moe
from perfmodel.workloads.families import qwen_vl as qwen_vl
from perfmodel.workloads.families import rwkv as rwkv
from perfmodel.workloads.families import windows as windows
from perfmodel.workloads.families.registry import ADAPTERS, Adapter, Layer, Skeleton

__all__ = ["ADAPTERS", "Adapter", "Layer", "Skeleton"]
