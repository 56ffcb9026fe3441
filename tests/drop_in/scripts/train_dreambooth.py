"""Teaches a model the pictures of a folder by LoRA, as teams of the style track write it after JDiffusion's example."""
# ruff: noqa: I001  (jstyle is imported first: it brings Jittor up as the machine allows)

import argparse
import math
from pathlib import Path

from jstyle import (
    AutoencoderKL,
    CLIPTextModel,
    CLIPTokenizer,
    DDPMScheduler,
    LoraConfig,
    LoraLoaderMixin,
    UNet2DConditionModel,
    convert_state_dict_to_diffusers,
    get_peft_model_state_dict,
    get_scheduler,
)
from jstyle.drop_in import DataLoader, Dataset

import jittor as jt
from jittor import nn, transform
from jittor.optim import AdamW
from PIL import Image
from PIL.ImageOps import exif_transpose


def parse_args():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pretrained_model_name_or_path", required=True)
    parser.add_argument("--instance_data_dir", required=True)
    parser.add_argument("--instance_prompt", required=True)
    parser.add_argument("--output_dir", default="lora")
    parser.add_argument("--resolution", type=int, default=512)
    parser.add_argument("--train_batch_size", type=int, default=1)
    parser.add_argument("--max_train_steps", type=int, default=500)
    parser.add_argument("--learning_rate", type=float, default=1e-4)
    parser.add_argument("--lr_scheduler", default="constant")
    parser.add_argument("--lr_warmup_steps", type=int, default=0)
    parser.add_argument("--rank", type=int, default=4)
    return parser.parse_args()


class InstanceDataset(Dataset):
    def __init__(self, root, prompt, tokenizer, size):
        self.paths = sorted(Path(root).iterdir())
        self.prompt = prompt
        self.tokenizer = tokenizer
        self.transforms = transform.Compose(
            [
                transform.Resize(size),
                transform.RandomCrop(size),
                transform.ToTensor(),
                transform.ImageNormalize([0.5], [0.5]),
            ]
        )

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        image = exif_transpose(Image.open(self.paths[index]))
        if image.mode != "RGB":
            image = image.convert("RGB")
        inputs = self.tokenizer(
            self.prompt,
            truncation=True,
            padding="max_length",
            max_length=self.tokenizer.model_max_length,
            return_tensors="pt",
        )
        return {"pixels": self.transforms(image), "ids": inputs.input_ids, "mask": inputs.attention_mask}


def collate(examples):
    pixel_values = jt.stack([jt.array(example["pixels"]) for example in examples]).float()
    input_ids = jt.cat([example["ids"] for example in examples], dim=0)
    return {"pixel_values": pixel_values, "input_ids": input_ids, "mask": [example["mask"] for example in examples]}


def main(args):
    model = args.pretrained_model_name_or_path
    tokenizer = CLIPTokenizer.from_pretrained(model, subfolder="tokenizer", revision=None, use_fast=False)
    noise_scheduler = DDPMScheduler.from_pretrained(model, subfolder="scheduler")
    text_encoder = CLIPTextModel.from_pretrained(model, subfolder="text_encoder", revision=None)
    vae = AutoencoderKL.from_pretrained(model, subfolder="vae", revision=None)
    unet = UNet2DConditionModel.from_pretrained(model, subfolder="unet", revision=None)
    vae.requires_grad_(False)
    text_encoder.requires_grad_(False)
    unet.requires_grad_(False)
    for name, param in unet.named_parameters():
        assert param.requires_grad == False, name  # noqa: E712

    config = LoraConfig(
        r=args.rank,
        lora_alpha=args.rank,
        init_lora_weights="gaussian",
        target_modules=["to_k", "to_q", "to_v", "to_out.0", "add_k_proj", "add_v_proj"],
    )
    unet.add_adapter(config)
    optimizer = AdamW(list(unet.parameters()), lr=args.learning_rate, betas=(0.9, 0.999), weight_decay=1e-2, eps=1e-08)

    dataset = InstanceDataset(args.instance_data_dir, args.instance_prompt, tokenizer, args.resolution)
    loader = DataLoader(
        dataset, batch_size=args.train_batch_size, shuffle=True, collate_fn=lambda examples: collate(examples)
    )
    lr_scheduler = get_scheduler(
        args.lr_scheduler,
        optimizer=optimizer,
        num_warmup_steps=args.lr_warmup_steps,
        num_training_steps=args.max_train_steps,
        num_cycles=1,
        power=1.0,
    )
    losses = []
    for _ in range(math.ceil(args.max_train_steps / len(loader))):
        for batch in loader:
            pixel_values = batch["pixel_values"].to(dtype=jt.float32)
            model_input = vae.encode(pixel_values).latent_dist.sample() * vae.config.scaling_factor
            noise = jt.randn_like(model_input)
            bsz, channels = model_input.shape[:2]
            timesteps = jt.randint(0, noise_scheduler.config.num_train_timesteps, (bsz,)).long()
            noisy_model_input = noise_scheduler.add_noise(model_input, noise, timesteps)
            input_ids = batch["input_ids"].to(text_encoder.device)
            encoder_hidden_states = text_encoder(input_ids, attention_mask=None, return_dict=False)[0]
            if unet.config.in_channels == channels * 2:
                noisy_model_input = jt.cat([noisy_model_input, noisy_model_input], dim=1)
            model_pred = unet(
                noisy_model_input, timesteps, encoder_hidden_states, class_labels=None, return_dict=False
            )[0]
            if noise_scheduler.config.prediction_type == "epsilon":
                target = noise
            elif noise_scheduler.config.prediction_type == "v_prediction":
                target = noise_scheduler.get_velocity(model_input, noise, timesteps)
            else:
                raise ValueError(f"Unknown prediction type {noise_scheduler.config.prediction_type}")
            loss = nn.mse_loss(model_pred, target)
            optimizer.backward(loss)
            optimizer.step()
            lr_scheduler.step()
            optimizer.zero_grad()
            losses.append({"loss": loss.detach().item(), "lr": lr_scheduler.get_last_lr()[0]})
            if len(losses) >= args.max_train_steps:
                break

    unet = unet.to(jt.float32)
    LoraLoaderMixin.save_lora_weights(
        save_directory=args.output_dir,
        unet_lora_layers=convert_state_dict_to_diffusers(get_peft_model_state_dict(unet)),
        text_encoder_lora_layers=None,
        safe_serialization=False,
    )
    return losses


if __name__ == "__main__":
    history = main(parse_args())
