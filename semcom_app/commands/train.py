"""`semcom train`: train the embedded models."""

from __future__ import annotations

import sys
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
    app.add_typer(group, name="train")


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
    """Train the embedded autoencoder; run again with the same --out to resume.

    Leaves config.json and diffusion_pytorch_model.safetensors (fp16), which `--vae FOLDER` reads.
    """
    if crop % 8 or final_crop % 8:
        raise ConfigurationError("--crop and --final-crop must be multiples of 8")
    from semcom_app.images import check_writable
    from semcom_app.models.autoencoders import select_device
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
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as bar:
            task = bar.add_task("training", total=steps)

            def report(step: int, line: str) -> None:
                bar.update(task, completed=step)
                if line:
                    console.print(line, highlight=False, markup=False)

            result = run(report=report)
    else:

        def report_line(step: int, line: str) -> None:
            if line:
                print(line, file=sys.stderr, flush=True)

        result = run(report=report_line)
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
