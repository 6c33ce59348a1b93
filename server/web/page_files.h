// SPDX-License-Identifier: GPL-3.0-or-later
// The files of page/, which are in the program.
#ifndef NFMETER_WEB_PAGE_FILES_H_
#define NFMETER_WEB_PAGE_FILES_H_

#include "absl/strings/string_view.h"

namespace nfmeter::web {

struct PageFile {
  absl::string_view path;  // "/page.js"
  const char* type;
  absl::string_view content;
};

// Null: there is no such file.
const PageFile* FindPageFile(absl::string_view path);

}  // namespace nfmeter::web

#endif  // NFMETER_WEB_PAGE_FILES_H_
