"""The fused kernels of ``jstyle.ops``: a C++ library, compiled once, and the Jittor operator that calls it."""
