"""The sample pictures as code: `canvas` is what they are drawn with, `contents` and `styles` draw them."""
