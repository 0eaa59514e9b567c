"""`semcom train`: train the embedded models."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from semcom_phy.errors import ConfigurationError


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="Train the embedded models.", no_args_is_help=True)
    group.command("vae")(vae)
    group.command("average")(average)
    group.command("vit")(vit)
    app.add_typer(group, name="train")


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[int, int, str], None]]:
    """Gives `report(step, steps, line)`: a bar on a terminal, elsewhere only the lines that are not empty."""
    if not sys.stderr.isatty():
        yield lambda step, steps, line: print(line, file=sys.stderr, flush=True) if line else None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("training", total=None)

        def report(step: int, steps: int, line: str) -> None:
            bar.update(task, completed=step, total=steps)
            if line:
                console.print(line, highlight=False, markup=False)

        yield report


def vae(
    data: Annotated[list[Path], typer.Option("--data", help="Folder of photographs; give it again for more folders.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for checkpoint, weights and training.json.")] = Path(
        "out/vae"
    ),
    steps: Annotated[int, typer.Option(min=1, help="Training steps.")] = 16000,
    batch: Annotated[int, typer.Option(min=1, help="Crops per step.")] = 8,
    crop: Annotated[int, typer.Option(min=16, help="Side of the crops, pixels (multiple of 8).")] = 96,
    final_crop: Annotated[int, typer.Option(min=16, help="Side in the last quarter of the steps.")] = 128,
    learning_rate: Annotated[float, typer.Option(min=0.0, help="Peak learning rate of AdamW.")] = 1.5e-3,
    ssim_weight: Annotated[float, typer.Option(min=0.0, help="Weight of 1 - SSIM beside the L1 loss.")] = 0.15,
    noise_start: Annotated[float, typer.Option(min=0.0, help="Latent noise at the first step (last: 0.015).")] = 0.03,
    init: Annotated[Path | None, typer.Option(help="Folder of saved weights to start from.")] = None,
    holdout_every: Annotated[
        int, typer.Option(min=0, help="Hold out files whose number is divisible by this; 0: none.")
    ] = 10,
    validate_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights, crops and noise.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
) -> int:
    """Train the embedded autoencoder; run again with the same options and --out to resume.

    Leaves config.json and diffusion_pytorch_model.safetensors (fp16), which `--vae FOLDER` reads.
    """
    if crop % 8 or final_crop % 8:
        raise ConfigurationError("--crop and --final-crop must be multiples of 8")
    from semcom_app.images import check_writable
    from semcom_app.models.devices import select_device
    from semcom_app.training.vae import TrainingConfig, train

    target = select_device(device)
    check_writable(out)
    config = TrainingConfig(
        steps=steps,
        batch=batch,
        crop=crop,
        final_crop=final_crop,
        learning_rate=learning_rate,
        ssim_weight=ssim_weight,
        noise_start=noise_start,
        seed=seed,
    )
    run = partial(
        train,
        data,
        out,
        config,
        holdout_every=holdout_every,
        validate_every=validate_every,
        initial=init,
        device=target,
    )
    with _progress() as report:
        result = run(report=lambda step, line: report(step, steps, line))
    typer.echo(f"weights in {out}, {result['parameters']} parameters; figures in {out / 'training.json'}")
    return 0


def average(
    first: Annotated[Path, typer.Argument(help="Folder of saved weights.")],
    second: Annotated[Path, typer.Argument(help="Folder of weights trained on from the first.")],
    data: Annotated[list[Path], typer.Option("--data", help="Folder with the held-out photographs.")],
    share: Annotated[float, typer.Option(help="Share of the second, 0 to 1.")] = 0.5,
    holdout_every: Annotated[int, typer.Option(min=0, help="As in `semcom train vae`.")] = 10,
    out: Annotated[Path, typer.Option("--out", help="Folder for weights and training.json.")] = Path("out/average"),
) -> int:
    """Average two trainings of the embedded autoencoder, and measure the result."""
    from semcom_app.images import check_writable
    from semcom_app.training.average import average as average_weights

    check_writable(out)
    average_weights(first, second, share, out, data, holdout_every)
    typer.echo(f"weights in {out}; figures in {out / 'training.json'}")
    return 0


def vit(
    data: Annotated[str, typer.Option("--data", help="Archive or folder of a data set, or hf:OWNER/NAME.")],
    model: Annotated[
        str, typer.Option(help="Embedded shape (device, server, views) or name of a timm vision transformer.")
    ] = "server",
    out: Annotated[Path, typer.Option("--out", help="Folder for checkpoint, weights and training.json.")] = Path(
        "out/vit"
    ),
    layout: Annotated[str, typer.Option(help="Layout of the data set; auto: the first that fits.")] = "auto",
    train_share: Annotated[
        float | None, typer.Option(help="Share of each object's views to train on, where no division is published.")
    ] = None,
    init: Annotated[str | None, typer.Option(help="Weights to start from: name, folder or hub id.")] = None,
    teacher: Annotated[str | None, typer.Option(help="Classifier to learn from as well: name or folder.")] = None,
    side: Annotated[int | None, typer.Option(min=8, max=1024, help="Side of the model's input, pixels.")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training pictures.")] = 10,
    batch: Annotated[int, typer.Option(min=1, help="Pictures per step.")] = 64,
    optimizer: Annotated[str, typer.Option(help="adam or adamw.")] = "adam",
    learning_rate: Annotated[float, typer.Option(min=0.0, help="Peak learning rate.")] = 1e-4,
    weight_decay: Annotated[float, typer.Option(min=0.0, help="Weight decay.")] = 0.0,
    schedule: Annotated[str, typer.Option(help="constant or one-cycle.")] = "constant",
    label_smoothing: Annotated[float, typer.Option(min=0.0, max=1.0, help="Label smoothing.")] = 0.0,
    gradient_clip: Annotated[
        float, typer.Option(min=0.0, help="Longest gradient of a step; longer ones are shortened. 0: as they are.")
    ] = 0.0,
    padding: Annotated[int, typer.Option(min=0, help="Random shifts by up to so many pixels.")] = 0,
    mirror: Annotated[bool, typer.Option("--mirror", help="Mirror half of the pictures.")] = False,
    cutout: Annotated[int, typer.Option(min=0, help="Side of a blanked square, pixels.")] = 0,
    quantized: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of pictures trained on as quantization leaves them.")
    ] = 0.0,
    quantized_patch: Annotated[int, typer.Option(min=1, help="Side of the quantized patches, pixels.")] = 4,
    drop_path: Annotated[float, typer.Option(min=0.0, max=0.9, help="Stochastic depth at the last block.")] = 0.0,
    teacher_weight: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of the teacher in the loss.")] = 0.5,
    precision: Annotated[str, typer.Option(help="float32 or bfloat16 (autocast).")] = "float32",
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads.")] = None,
    checkpoint_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights, order and augmentation.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print what training.json holds.")] = False,
) -> int:
    """Train a device encoder or a server classifier; run again with the same options and --out to resume.

    Leaves config.json, model.safetensors (fp16) and training.json with the curve.
    """
    import json

    import torch

    from semcom_app.datasets import load_dataset
    from semcom_app.images import check_writable
    from semcom_app.models.classifiers import load_classifier
    from semcom_app.models.devices import select_device
    from semcom_app.training.vit import VitTrainingConfig, make_pupil, train

    target = select_device(device)
    check_writable(out)
    if threads is not None:
        torch.set_num_threads(threads)
    config = VitTrainingConfig(
        epochs=epochs,
        batch=batch,
        optimizer=optimizer,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        schedule=schedule,
        label_smoothing=label_smoothing,
        gradient_clip=gradient_clip,
        padding=padding,
        mirror=mirror,
        cutout=cutout,
        quantized=quantized,
        quantized_patch=quantized_patch,
        teacher_weight=teacher_weight,
        precision=precision,
        seed=seed,
    )
    data_set = load_dataset(data, layout, train_share)
    pupil = make_pupil(model, data_set.classes, side=side, init=init, drop_path=drop_path, seed=seed)
    transform = pupil.transform
    run = partial(
        train,
        pupil,
        data_set.train.tensor(transform.side, transform.crop),
        data_set.train.labels,
        data_set.test.tensor(transform.side, transform.crop),
        data_set.test.labels,
        out,
        config,
        teacher=None if teacher is None else load_classifier(teacher, device),
        checkpoint_every=checkpoint_every,
        device=target,
    )
    with _progress() as report:
        result = run(report=report)
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    else:
        tested = f", test accuracy {100 * result['test']['accuracy']:.2f} %" if "test" in result else ""
        typer.echo(f"weights in {out}, {result['parameters']} parameters{tested}; figures in {out / 'training.json'}")
    return 0
