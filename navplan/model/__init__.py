"""The words of the product: frozen dataclasses that validate, and neither read files nor compute."""
