# Thin: every target installs what it needs (.ci/install), then CMakeLists.txt and CMakePresets.json
# do the work in build/<preset>.
#
#   make            the program: build/mgpnet, one static file
#   make demo       smooths examples/pictures (and PHOTO=mine.jpg) into demo-out/
#   make test       builds and runs every test
#   make cuda       the program with its GPU kernels: build/mgpnet-cuda (needs nvcc, no GPU)
#   make gpu-pack   what a machine with a GPU needs to check it: build/gpu-pack, one folder to carry
#   make gpu-check  the same, and runs it here: gpu-report.md and .json
#   make gpu-train  trains the default model by the paper's recipe on a GPU, 8 minutes at a time: runs/gpu
#   make asan tsan  the sanitizers, on a fitting subset
#   make bench      end to end and every operation, beside PyTorch where it can be imported
#   make bench-compare BASE=main~3
#   make format lint docs install clean

PREFIX ?= /usr/local
PHOTO ?=
SOURCES = $(shell git ls-files '*.cpp' '*.h')
LINTED = tensor autograd cpu nn examples

ifneq ($(shell command -v ccache 2>/dev/null),)
export CMAKE_CXX_COMPILER_LAUNCHER ?= ccache
endif

.PHONY: program cuda gpu-pack gpu-check gpu-train demo test asan tsan bench bench-compare format lint docs install clean

program:
	@.ci/install build
	@cmake --preset release >/dev/null
	cmake --build --preset release --target mgpnet
	@ln -sf release/examples/mgpnet build/mgpnet

cuda:
	@command -v nvcc >/dev/null || [ -x /usr/local/cuda/bin/nvcc ] || { echo "make cuda: there is no nvcc in PATH or \
	/usr/local/cuda/bin; install the CUDA Toolkit 13 (make alone builds the program without CUDA)" >&2; exit 1; }
	@.ci/install build
	@cmake --preset cuda >/dev/null
	cmake --build --preset cuda --target mgpnet
	@ln -sf cuda/examples/mgpnet build/mgpnet-cuda
	@cuda/resources build/cuda
	@cuda/check_binary build/mgpnet-cuda

gpu-pack: cuda
	@.ci/install test
	@cmake --preset cuda -DSATIN_TESTS=ON >/dev/null
	cmake --build --preset cuda --target gpu_tests
	@rm -rf build/gpu-pack && mkdir -p build/gpu-pack/data
	@cp build/cuda/tests/gpu_tests cuda/gpu_check cuda/gpu_train bench/torch_mgpnet.py tests/data/fixture_*.safetensors build/gpu-pack/
	@mv build/gpu-pack/*.safetensors build/gpu-pack/data/
	@cp -L build/mgpnet-cuda build/gpu-pack/
	@du -sm build/gpu-pack | awk '{ print $$2 ": " $$1 " MiB; carry it to the GPU and run gpu_check there"; exit $$1 >= 40 }'

gpu-check: gpu-pack
	build/gpu-pack/gpu_check .

gpu-train: cuda
	PROGRAM=build/mgpnet-cuda cuda/gpu_train runs/gpu

demo: program
	@cmake --build --preset release --target before_after
	@examples/demo.sh "$(PHOTO)"

test:
	@.ci/install test
	@cmake --preset dev >/dev/null
	cmake --build --preset dev
	ctest --preset dev

# What reads files from strangers, and the pool of threads (tests/CMakeLists.txt names the subset).
asan:
	@.ci/install test
	@cmake --preset asan >/dev/null
	cmake --build --preset asan --target satin_tests mgpnet_tests
	ctest --preset asan

# The pool is where the threads are.
tsan:
	@.ci/install test
	@cmake --preset tsan >/dev/null
	cmake --build --preset tsan --target satin_tests
	ctest --preset tsan -R satin_tests

bench:
	@.ci/install bench
	@cmake --preset release -DSATIN_BENCH=ON >/dev/null
	cmake --build --preset release --target satin_bench mgpnet
	build/release/bench/satin_bench
	bench/run --mgpnet build/release/examples/mgpnet --ops --json build/bench.json --markdown build/bench.md

# What the working tree changed against a commit: make bench-compare BASE=main~3
bench-compare: program
	@.ci/install bench
	bench/compare $(or $(BASE),HEAD)

format:
	@.ci/install format
	clang-format-14 -i $(SOURCES)

# One instruction set: clang does not know g++'s newest builtins, nor all of its options.
lint:
	@.ci/install lint
	@cmake --preset tidy >/dev/null
	printf '%s\n' $(filter-out examples/find_package/%,$(filter $(LINTED:%=%/%.cpp),$(SOURCES))) | \
	  xargs -P $$(nproc) -n 1 clang-tidy-14 -p build/tidy --quiet --extra-arg=-Wno-unknown-warning-option \
	  --extra-arg=-Qunused-arguments

# docs/ops.md from the table, docs/before_after.jpg by the default model.
docs: program
	@.ci/install test
	@cmake --preset dev >/dev/null
	cmake --build --preset dev --target satin_docs
	build/dev/tests/satin_docs .
	@cmake --build --preset release --target before_after
	@if [ -f models/mgpnet.gguf ]; then examples/demo.sh --docs; \
	  else echo "no models/mgpnet.gguf: docs/before_after.jpg is left as it is"; fi

install:
	@.ci/install build
	@cmake --preset release >/dev/null
	cmake --build --preset release
	cmake --install build/release --prefix $(PREFIX)

clean:
	rm -rf build demo-out
