"""How sources of published vision benchmarks spell networks, and which of ours they mean.

A value is one of our names, or a name and the fields that differ from it; with a field ``image`` the size that the
source states is not asked. Keys are in lower case, without what follows a slash, marks such as "|star|", and what our
own names and aliases already answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Meaning = str | tuple[str, dict[str, Any]]

MLPERF: Mapping[str, Meaning] = {
    "ad": "dense-autoencoder", "ic": "resnet8", "kws": "ds-cnn", "mobilenet": "mobilenetv1_100", "resnet": "resnet50",
    "retinanet": "retinanet-resnext50-32x4d", "ssd-large": "ssd-resnet34", "ssd-mobilenet": "ssd-mobilenet-v1",
    "ssd-small": "ssd-mobilenet-v1", "vww": "mobilenetv1-025-vww",
}  # fmt: skip
"""MLPerf Inference and MLPerf Tiny."""

NVIDIA: Mapping[str, Meaning] = {
    "efficientdet": "efficientdet-d0", "efficientnet-b0": "efficientnet_b0",
    "efficientnet-b4": ("efficientnet_b4", {"image": 380}),
    "efficientnet-widese-b0": ("efficientnet_b0", {"se_expanded": True}),
    "efficientnet-widese-b4": ("efficientnet_b4", {"se_expanded": True, "image": 380}),
    "efficientnet_v2": "tf_efficientnetv2_s", "resnet50v1.5": "resnet50", "resnext101-32x4d": "resnext101_32x4d",
    "rn50v1.5": "resnet50", "se-resnext101-32x4d": "seresnext101_32x4d", "unet_industrial": ("unet-industrial", {}),
    "unet_medical": ("unet-medical", {}),
}  # fmt: skip
"""NVIDIA's DeepLearningExamples; networks of its tables are in the rows' notes."""

QUALCOMM: Mapping[str, Meaning] = {
    "aotgan": "aot-gan", "beit": "beit_base_patch16_224", "bisenet": ("bisenet", {"image": [720, 960]}),
    "cavaface": "ir-se-101", "ddrnet23_slim": ("ddrnet23-slim", {"image": [1024, 2048]}),
    "deeplab_xception": ("deeplabv3-plus-xception65", {"image": [480, 520]}),
    "deeplabv3_plus_mobilenet": "deeplabv3-plus-mobilenetv2", "depth_anything": "depth-anything-small",
    "depth_anything_v2": "depth-anything-v2-small",
    "detectron2_detection/detectron2proposalgenerator": "faster-rcnn-r50-c4-proposals", "dla102x": "dla102x",
    "efficientformer": "efficientformer_l1", "efficientvit_b2_cls": "efficientvit_b2",
    "efficientvit_l2_cls": "efficientvit_l2", "esrgan": "esrgan", "face_attrib_net": "face-attrib-net",
    "face_det_lite": ("face-det-lite", {"image": [480, 640]}), "fcn_resnet50": "fcn-resnet50-no-aux",
    "ffnet_40s": ("ffnet-40s", {"image": [1024, 2048]}), "ffnet_54s": ("ffnet-54s", {"image": [1024, 2048]}),
    "ffnet_78s": ("ffnet-78s", {"image": [1024, 2048]}),
    "ffnet_78s_lowres": ("ffnet-78s-lowres", {"image": [512, 1024]}),
    "foot_track_net": ("foot-track-net", {"image": [480, 640]}), "gpunet": "gpunet-0", "hrnet_face": "hrnet-face-w18",
    "hrnet_pose": ("hrnet-pose-w32", {"image": [256, 192]}), "levit": "levit_128s",
    "mediapipe_face/facedetector": ("blazeface-back", {}),
    "mediapipe_face/facelandmarkdetector": ("blazeface-landmarks", {}),
    "mediapipe_hand/handdetector": ("blazepalm", {}),
    "mediapipe_hand/handlandmarkdetector": ("blazehand-landmarks", {}),
    "mediapipe_pose/posedetector": ("blazepose-detector", {}),
    "mediapipe_pose/poselandmarkdetector": ("blazepose-landmarks", {}), "mediapipe_selfie": ("mediapipe-selfie", {}),
    "midas": "midas-v21-small", "mobile_vit": "mobilevit_s", "nasnet": "nasnet-large",
    "pidnet": ("pidnet-s", {"image": [1024, 2048]}), "posenet_mobilenet": ("posenet-mobilenet", {"image": [513, 257]}),
    "pspnet": ("pspnet-resnet101", {"image": 473}), "quicksrnetlarge": "quicksrnet-large",
    "quicksrnetmedium": "quicksrnet-medium", "quicksrnetsmall": "quicksrnet-small", "regnet": "regnet_x_3_2gf",
    "regnet_y_800mf": ("regnet_y_800mf", {"image": 224}), "resnet_2plus1d": "r2plus1d-18", "resnet_3d": "r3d-18",
    "resnet_mixed": "mc3-18", "resnext101": "resnext101-32x8d", "resnext50": "resnext50-32x4d",
    "segformer_base": "segformer-b0", "sequencer2d": "sequencer2d_s", "shufflenet_v2": "shufflenet-v2-x0.5",
    "unet_segmentation": "unet", "video_mae": "videomae-base", "vit": "vit_b_16", "wideresnet50": "wide-resnet50-2",
    "yolov10_det": "yolov10n", "yolov11_det": "yolo11n", "yolov11_seg": "yolo11n-seg", "yolov5": "yolov5m",
    "yolov6": "yolov6n", "yolov7/yolo-v7": "yolov7-tiny", "yolov8_det": "yolov8n", "yolov8_seg": "yolov8n-seg",
    "yolox": "yolox-s",
}  # fmt: skip
"""Qualcomm AI Hub: which size of a network it has is told by its parameters."""

HAILO: Mapping[str, Meaning] = {
    "clip_resnet_50_image_encoder": "resnet50_clip",
    "clip_resnet_50_text_encoder": ("clip-b-32-text", {"projection": 1024}),
    "clip_resnet_50x4_image_encoder": "resnet50x4_clip",
    "clip_resnet_50x4_text_encoder": ("clip-b-32-text", {"hidden": 640, "heads": 10, "projection": 640}),
    "clip_vit_b_16_image_encoder": "vit_base_patch16_clip_quickgelu_224",
    "clip_vit_b_16_text_encoder": ("clip-b-32-text", {}),
    "clip_vit_b_32_image_encoder": "vit_base_patch32_clip_quickgelu_224",
    "clip_vit_b_32_text_encoder": ("clip-b-32-text", {}),
    "clip_vit_l_14_336_image_encoder": "vit_large_patch14_clip_quickgelu_336",
    "clip_vit_l_14_laion2b_image_encoder": "vit_large_patch14_clip_224",
    "clip_vit_l_14_laion2b_text_encoder": ("clip-l-14-text-projected", {}),
    "clip_vit_l_14_text_encoder": ("clip-l-14-text-projected", {}), "deit_base": "deit_base_patch16_224",
    "depth_anything_v2_vits": "depth-anything-v2-small", "depth_anything_vits": "depth-anything-small",
    "dncnn3": ("dncnn3", {}), "dncnn_color_blind": ("dncnn-color-blind", {}), "espcn_x2": ("espcn-x2", {}),
    "espcn_x3": ("espcn-x3", {}), "espcn_x4": ("espcn-x4", {}),
    "face_attr_resnet_v1_18": ("resnet18", {"image": [218, 178], "classes": 40}), "fast_sam_s": "fastsam-s",
    "fastvit_sa12": ("fastvit_sa12", {"fused": True, "image": 224}), "inception_v1": "googlenet",
    "mobilenet_v1": "mobilenetv1_100", "mobilenet_v2_1.0": "mobilenetv2_100", "mobilenet_v2_1.4": "mobilenetv2_140",
    "person_attr_resnet_v1_18": ("resnet18", {"classes": 35}), "r3d_18": ("r3d-18", {}),
    "real_esrgan_x2": ("real-esrgan-x2", {"image": 512}), "regnetx_1.6gf": "regnetx_016",
    "regnetx_800mf": "regnetx_008", "repghost_1_0x": ("repghostnet_100", {"fused": True}),
    "repvgg_a1": ("repvgg_a1", {"fused": True}), "repvgg_a2": ("repvgg_a2", {"fused": True}),
    "resmlp12_relu": "resmlp_12_224", "resnet_v1_18": "resnet18", "resnet_v1_34": "resnet34",
    "resnet_v1_50": ("resnet50", {"stride_on": "1x1"}),
    "segformer_b0_bn": ("segformer-b0", {"image": [512, 1024], "classes": 19}),
    "siglip2_b_32_256_image_encoder": "vit_base_patch32_siglip_256", "ssd_mobilenet_v2": "ssdlite-mobilenet-v2",
    "swin_small": "swin_small_patch4_window7_224", "swin_tiny": "swin_tiny_patch4_window7_224",
    "vit_base": "vit_base_patch16_224", "vit_base_bn": "vit_base_patch16_224", "vit_small": "vit_small_patch16_224",
    "vit_small_bn": "vit_small_patch16_224", "vit_tiny": "vit_tiny_patch16_224", "vit_tiny_bn": "vit_tiny_patch16_224",
    "yolov3_gluon": "yolov3", "yolov3_gluon_416": "yolov3-416", "yolov5m": "yolov5m-2.0", "yolov5s": "yolov5s-2.0",
    "yolov5s_bbox_decoding_only": "yolov5s-2.0", "yolov6n": "yolov6n-0.2", "yolov6n_0.2.1_nms_core": "yolov6n-0.2",
    "yolov8s_bbox_decoding_only": "yolov8s", "zero_dce": ("zero-dce", {}), "zero_dce_pp": ("zero-dce-pp", {}),
}  # fmt: skip
"""Hailo's model zoo; norms of other kinds ("bn") leave the products as they are."""

OTHERS: Mapping[str, Meaning] = {
    "clip_resnet50": "resnet50_clip", "google/vit-base-patch16-224": "vit_base_patch16_224",
    "mobilenetv2-12": "mobilenetv2_100", "resnet50-v1-12": "resnet50", "resnet50-v2-7": "resnetv2_50",
    "stable diffusion 1.5": "stable-diffusion-1.5", "stable diffusion 2.1": "stable-diffusion-2.1",
    "stable diffusion xl base & refiner": "sdxl-with-refiner", "yolov5s_relu": "yolov5s",
}  # fmt: skip
"""Rockchip's model zoo, AWS Neuron, ONNX's model zoo."""

UNKNOWN = frozenset({
    "yolor", "yolov3/yolo-v3", "mobilenet_v3", "yolov3", "efficientnet_v1", "efficientnet", "efficientnet_s",
    "efficientnet_m", "efficientnet_l", "openai", "deepmind", "cvt", "yolov6m", "gkt", "clip_text",
})  # fmt: skip
"""Words that are ours but mean something else in these sources, or are not told apart by the word alone."""
