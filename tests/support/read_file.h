// SPDX-License-Identifier: GPL-3.0-or-later
#ifndef NFMETER_TESTS_SUPPORT_READ_FILE_H_
#define NFMETER_TESTS_SUPPORT_READ_FILE_H_

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace nfmeter::testing {

// What the file holds; nothing if it cannot be read.
inline std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_SUPPORT_READ_FILE_H_
