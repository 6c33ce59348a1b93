// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/snapshot/snapshot_members.h"

#include "google/protobuf/io/coded_stream.h"

namespace nfmeter::service {
namespace {

using google::protobuf::io::CodedOutputStream;

EncodedMembers Encode(const std::vector<uint32_t>& members,
                      const accounting::NameTable& names) {
  EncodedMembers encoded;
  size_t ids_size = 0;
  size_t names_size = 0;
  for (const uint32_t id : members) {
    ids_size += CodedOutputStream::VarintSize32(id);
    names_size += names.Shown(id).size() + 1;
  }
  encoded.ids.resize(ids_size);
  encoded.names.reserve(names_size);
  auto* out = reinterpret_cast<uint8_t*>(encoded.ids.data());
  for (const uint32_t id : members) {
    out = CodedOutputStream::WriteVarint32ToArray(id, out);
    const absl::string_view name = names.Shown(id);
    encoded.names.append(name.data(), name.size());
    encoded.names.push_back('\n');
  }
  return encoded;
}

}  // namespace

std::shared_ptr<const EncodedMembers> MemberEncodings::Get(
    const std::shared_ptr<const std::vector<uint32_t>>& members,
    const accounting::NameTable& names) {
  absl::MutexLock lock(&mutex_);
  const auto found = entries_.find(members.get());
  // An expired entry is that of an older vector at the same address.
  if (found != entries_.end() && !found->second.members.expired()) {
    return found->second.encoded;
  }
  absl::erase_if(entries_, [](const auto& entry) {
    return entry.second.members.expired();
  });
  auto encoded =
      std::make_shared<const EncodedMembers>(Encode(*members, names));
  entries_[members.get()] = {members, encoded};
  return encoded;
}

}  // namespace nfmeter::service
