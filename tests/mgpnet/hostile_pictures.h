// Makes, in memory, every picture that must be refused, with the words that refuse it.
#pragma once

#include <string>
#include <vector>

#include "picture_builders.h"

namespace mgpnet_tests {

struct HostilePicture {
  std::string name;
  ByteVector bytes;
  std::string expected;  // a part of the sentence that refuses it
};

std::vector<HostilePicture> hostile_png();
std::vector<HostilePicture> hostile_jpeg();
std::vector<HostilePicture> hostile_bmp();
std::vector<HostilePicture> hostile_tga();
std::vector<HostilePicture> not_pictures();

}  // namespace mgpnet_tests
