"""Teaches a model captioned pictures, by LoRA: as one ports diffusers' train_text_to_image_lora.py.

Without accelerate: one process, fp32.
"""
# ruff: noqa: I001  (jstyle is imported first: it brings Jittor up as the machine allows)

import argparse
import json
from pathlib import Path

from jstyle import (
    AutoencoderKL,
    CLIPTextModel,
    CLIPTokenizer,
    DDPMScheduler,
    LoraConfig,
    StableDiffusionPipeline,
    UNet2DConditionModel,
    compute_snr,
    convert_state_dict_to_diffusers,
    get_peft_model_state_dict,
    get_scheduler,
)
from jstyle.drop_in import DataLoader

import jittor as jt
from jittor import transform
from PIL import Image


def parse_args():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pretrained_model_name_or_path", required=True)
    parser.add_argument("--train_data_dir", required=True)
    parser.add_argument("--output_dir", default="lora")
    parser.add_argument("--resolution", type=int, default=512)
    parser.add_argument("--train_batch_size", type=int, default=16)
    parser.add_argument("--max_train_steps", type=int, default=100)
    parser.add_argument("--learning_rate", type=float, default=1e-4)
    parser.add_argument("--lr_scheduler", default="constant")
    parser.add_argument("--lr_warmup_steps", type=int, default=500)
    parser.add_argument("--snr_gamma", type=float, default=None)
    parser.add_argument("--max_grad_norm", type=float, default=1.0)
    parser.add_argument("--rank", type=int, default=4)
    parser.add_argument("--gradient_checkpointing", action="store_true")
    parser.add_argument("--validation_prompt", default=None)
    parser.add_argument("--seed", type=int, default=None)
    return parser.parse_args()


def main():
    args = parse_args()
    if args.seed is not None:
        jt.set_global_seed(args.seed)
    model = args.pretrained_model_name_or_path
    noise_scheduler = DDPMScheduler.from_pretrained(model, subfolder="scheduler")
    tokenizer = CLIPTokenizer.from_pretrained(model, subfolder="tokenizer")
    text_encoder = CLIPTextModel.from_pretrained(model, subfolder="text_encoder")
    vae = AutoencoderKL.from_pretrained(model, subfolder="vae")
    unet = UNet2DConditionModel.from_pretrained(model, subfolder="unet")
    unet.requires_grad_(False)
    vae.requires_grad_(False)
    text_encoder.requires_grad_(False)

    unet_lora_config = LoraConfig(
        r=args.rank,
        lora_alpha=args.rank,
        init_lora_weights="gaussian",
        target_modules=["to_k", "to_q", "to_v", "to_out.0"],
    )
    unet.add_adapter(unet_lora_config)
    if args.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    lora_layers = list(filter(lambda p: p.requires_grad, unet.parameters()))
    optimizer = jt.optim.AdamW(lora_layers, lr=args.learning_rate, betas=(0.9, 0.999), weight_decay=1e-2, eps=1e-08)

    train_transforms = transform.Compose(
        [
            transform.Resize(args.resolution),
            transform.CenterCrop(args.resolution),
            transform.ToTensor(),
            transform.ImageNormalize([0.5], [0.5]),
        ]
    )
    with open(Path(args.train_data_dir) / "metadata.jsonl") as file:
        rows = [json.loads(line) for line in file]
    captions = tokenizer(
        [row["text"] for row in rows],
        max_length=tokenizer.model_max_length,
        padding="max_length",
        truncation=True,
        return_tensors="pt",
    ).input_ids
    images = [Image.open(Path(args.train_data_dir) / row["file_name"]).convert("RGB") for row in rows]
    train_dataset = [
        {"pixel_values": train_transforms(image), "input_ids": ids} for image, ids in zip(images, captions.numpy())
    ]
    train_dataloader = DataLoader(train_dataset, shuffle=True, batch_size=args.train_batch_size, num_workers=0)

    lr_scheduler = get_scheduler(
        args.lr_scheduler,
        optimizer=optimizer,
        num_warmup_steps=args.lr_warmup_steps,
        num_training_steps=args.max_train_steps,
    )
    logs = []
    while len(logs) < args.max_train_steps:
        unet.train()
        for batch in train_dataloader:
            latents = vae.encode(batch["pixel_values"]).latent_dist.sample()
            latents = latents * vae.config.scaling_factor
            noise = jt.randn_like(latents)
            bsz = latents.shape[0]
            timesteps = jt.randint(0, noise_scheduler.config.num_train_timesteps, (bsz,))
            timesteps = timesteps.long()
            noisy_latents = noise_scheduler.add_noise(latents, noise, timesteps)
            encoder_hidden_states = text_encoder(batch["input_ids"], return_dict=False)[0]
            if noise_scheduler.config.prediction_type == "epsilon":
                target = noise
            elif noise_scheduler.config.prediction_type == "v_prediction":
                target = noise_scheduler.get_velocity(latents, noise, timesteps)
            model_pred = unet(noisy_latents, timesteps, encoder_hidden_states, return_dict=False)[0]
            if args.snr_gamma is None:
                loss = jt.nn.mse_loss(model_pred, target)
            else:
                snr = compute_snr(noise_scheduler, timesteps)
                weights = jt.stack([snr, args.snr_gamma * jt.ones_like(snr)], dim=1).min(dim=1)
                if noise_scheduler.config.prediction_type == "epsilon":
                    weights = weights / snr
                elif noise_scheduler.config.prediction_type == "v_prediction":
                    weights = weights / (snr + 1)
                loss = (model_pred - target).sqr()
                loss = loss.mean(dims=list(range(1, len(loss.shape)))) * weights
                loss = loss.mean()
            optimizer.backward(loss)
            optimizer.clip_grad_norm(args.max_grad_norm)
            optimizer.step()
            logs.append({"loss": loss.detach().item(), "lr": lr_scheduler.get_last_lr()[0]})
            lr_scheduler.step()
            optimizer.zero_grad()
            if len(logs) >= args.max_train_steps:
                break

    if args.validation_prompt is not None:
        pipeline = StableDiffusionPipeline.from_pretrained(model, unet=unet)
        pipeline = pipeline.to("cuda")
        pipeline.set_progress_bar_config(disable=True)
        image = pipeline(args.validation_prompt, num_inference_steps=2, generator=args.seed).images[0]
        image.save(Path(args.output_dir).parent / "validation.png")

    unet_lora_state_dict = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))
    StableDiffusionPipeline.save_lora_weights(
        save_directory=args.output_dir, unet_lora_layers=unet_lora_state_dict, safe_serialization=True
    )
    return logs


if __name__ == "__main__":
    history = main()
