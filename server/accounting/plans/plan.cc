#include "accounting/plans/plan.h"

#include "absl/strings/str_cat.h"

namespace nfmeter::accounting {

absl::string_view DirectionName(Direction direction) {
  switch (direction) {
    case Direction::kIn:
      return "in";
    case Direction::kOut:
      return "out";
    case Direction::kForwarded:
      return "forwarded";
  }
  return "";
}

std::string ClassCounter(absl::string_view counter,
                         absl::string_view class_name) {
  return absl::StrCat(counter, ".", class_name);
}

}  // namespace nfmeter::accounting
