// SPDX-License-Identifier: GPL-3.0-or-later
#include "web/page_files.h"

// The assembler puts the files into the program as they are.
#define NFMETER_EMBED(symbol, file)              \
  asm(".section .rodata\n"                       \
      ".global nfmeter_page_" #symbol            \
      "\n"                                       \
      "nfmeter_page_" #symbol                    \
      ":\n"                                      \
      ".incbin \"" NFMETER_PAGE_FOLDER "/" file  \
      "\"\n"                                     \
      ".global nfmeter_page_" #symbol            \
      "_end\n"                                   \
      "nfmeter_page_" #symbol                    \
      "_end:\n"                                  \
      ".previous\n");                            \
  extern "C" const char nfmeter_page_##symbol[]; \
  extern "C" const char nfmeter_page_##symbol##_end[]

NFMETER_EMBED(html, "index.html");
NFMETER_EMBED(css, "page.css");
NFMETER_EMBED(js, "page.js");
NFMETER_EMBED(rates, "rates.js");
NFMETER_EMBED(uplot_js, "vendor/uPlot.iife.min.js");
NFMETER_EMBED(uplot_css, "vendor/uPlot.min.css");

#define NFMETER_CONTENT(symbol)                                       \
  absl::string_view(nfmeter_page_##symbol,                            \
                    static_cast<size_t>(nfmeter_page_##symbol##_end - \
                                        nfmeter_page_##symbol))

namespace nfmeter::web {
namespace {

constexpr char kHtml[] = "text/html; charset=utf-8";
constexpr char kCss[] = "text/css; charset=utf-8";
constexpr char kScript[] = "text/javascript; charset=utf-8";

}  // namespace

const PageFile* FindPageFile(absl::string_view path) {
  static const PageFile files[] = {
      {"/", kHtml, NFMETER_CONTENT(html)},
      {"/page.css", kCss, NFMETER_CONTENT(css)},
      {"/page.js", kScript, NFMETER_CONTENT(js)},
      {"/rates.js", kScript, NFMETER_CONTENT(rates)},
      {"/uPlot.js", kScript, NFMETER_CONTENT(uplot_js)},
      {"/uPlot.css", kCss, NFMETER_CONTENT(uplot_css)},
  };
  for (const PageFile& file : files) {
    if (file.path == path) return &file;
  }
  return nullptr;
}

}  // namespace nfmeter::web
