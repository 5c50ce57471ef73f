// satin_docs SOURCE_DIR: writes docs/ops.md.
#include <cstdio>
#include <exception>
#include <fstream>

#include "../ops_docs.h"

int main(int argc, char** argv) {
  const std::string source_dir = argc > 1 ? argv[1] : ".";
  try {
    const std::string path = source_dir + "/docs/ops.md";
    std::ofstream file(path);
    file << satin::testing::ops_page(source_dir);
    file.close();
    if (!file) {
      std::fprintf(stderr, "satin_docs: %s cannot be written\n", path.c_str());
      return 1;
    }
    std::printf("%s\n", path.c_str());
  } catch (const std::exception& e) {
    std::fprintf(stderr, "satin_docs: %s\n", e.what());
    return 1;
  }
}
