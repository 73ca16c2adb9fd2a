"""Pictures: fetched, decoded, resized, and seen by pretrained backbones."""
