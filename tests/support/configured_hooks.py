"""The hooks of a config, wherever they stand in it."""

from mmengine.config import Config


def configured_hooks(cfg: Config) -> dict[str, tuple[str, dict]]:
    """Type -> (what ``--cfg-options`` call it, its settings)."""
    named = {f'default_hooks.{name}': hook for name, hook in (cfg.get('default_hooks') or {}).items()}
    listed = {f'custom_hooks.{i}': hook for i, hook in enumerate(cfg.get('custom_hooks') or ())}
    return {hook.type: (key, hook) for key, hook in {**named, **listed}.items() if hook is not None}
