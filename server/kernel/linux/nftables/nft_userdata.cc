// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/nftables/nft_userdata.h"

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "base/utf8.h"

namespace nfmeter::kernel {
namespace {

constexpr uint8_t kComment = 0;

// With the final NUL that nft wants of texts.
void Append(uint8_t type, absl::string_view text, std::string& out) {
  out.push_back(static_cast<char>(type));
  out.push_back(static_cast<char>(text.size() + 1));
  out.append(text.data(), text.size());
  out.push_back('\0');
}

std::optional<absl::string_view> Find(uint8_t type, ByteSpan userdata) {
  while (userdata.size() >= 2) {
    const size_t length = userdata[1];
    if (length > userdata.size() - 2) return std::nullopt;
    if (userdata[0] == type) {
      if (length == 0) return std::nullopt;
      return absl::string_view(
          reinterpret_cast<const char*>(userdata.data()) + 2, length - 1);
    }
    userdata.remove_prefix(2 + length);
  }
  return std::nullopt;
}

}  // namespace

bool IsNftComment(absl::string_view text) {
  return text.size() <= kNftCommentMaxBytes && ValidUtf8(text) == text &&
         absl::c_none_of(text, [](char c) {
           return c == '"' || c == '\\' || absl::ascii_iscntrl(c);
         });
}

std::string NftComment(absl::string_view text) {
  std::string out;
  Append(kComment, text, out);
  return out;
}

std::optional<absl::string_view> ReadNftComment(ByteSpan userdata) {
  const std::optional<absl::string_view> text = Find(kComment, userdata);
  if (!text.has_value()) return std::nullopt;
  return text->substr(0, text->find('\0'));
}

void AppendNftEntry(NftEntry type, absl::string_view bytes, std::string& out) {
  Append(static_cast<uint8_t>(type), bytes, out);
}

std::optional<absl::string_view> ReadNftEntry(NftEntry type,
                                              ByteSpan userdata) {
  return Find(static_cast<uint8_t>(type), userdata);
}

}  // namespace nfmeter::kernel
