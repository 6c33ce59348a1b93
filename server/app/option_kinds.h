// SPDX-License-Identifier: GPL-3.0-or-later
// Kinds of options. Each function makes an option that sets what `field`
// returns of a configuration; its default is what stands there in a new one.
#ifndef NFMETER_APP_OPTION_KINDS_H_
#define NFMETER_APP_OPTION_KINDS_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "app/config.h"
#include "app/options.h"
#include "security/listen/listen_address.h"

namespace nfmeter::app {

inline absl::Status MustBe(absl::string_view what, absl::string_view text) {
  return absl::InvalidArgumentError(
      absl::StrCat("must be ", what, ", not '", text, "'"));
}

// "limits.max_batch_size" -> "--max-batch-size". The group is dropped where
// the rest is clear by itself.
inline std::string FlagOf(absl::string_view key) {
  const size_t dot = key.find('.');
  const bool keeps_group = key.substr(0, dot) != "limits";
  if (dot != absl::string_view::npos && !keeps_group) {
    key = key.substr(dot + 1);
  }
  return absl::StrCat("--", absl::StrReplaceAll(key, {{"_", "-"}, {".", "-"}}));
}

template <typename Field>
Option Text(std::string key, std::string value, std::string help, Field field) {
  Config defaults;
  return {.key = key,
          .flag = FlagOf(key),
          .value = std::move(value),
          .help = std::move(help),
          .default_text = field(defaults),
          .set = [field](absl::string_view text, Config& config) {
            field(config) = std::string(text);
            return absl::OkStatus();
          }};
}

template <typename Field>
Option File(std::string key, std::string help, Field field) {
  Option option = Text(std::move(key), "FILE", std::move(help), field);
  option.set = [set = std::move(option.set)](absl::string_view text,
                                             Config& config) {
    if (text.empty()) return MustBe("the name of a file", text);
    return set(text, config);
  };
  return option;
}

template <typename Field>
Option Number(std::string key, size_t least, size_t most, std::string help,
              Field field) {
  Config defaults;
  return {.key = key,
          .flag = FlagOf(key),
          .value = "N",
          .help = std::move(help),
          .default_text = absl::StrCat(field(defaults)),
          .set = [=](absl::string_view text, Config& config) {
            size_t number = 0;
            if (!absl::SimpleAtoi(text, &number) || number < least ||
                number > most) {
              return MustBe(absl::StrCat("a number from ", least, " to ", most),
                            text);
            }
            field(config) = number;
            return absl::OkStatus();
          }};
}

template <typename Field>
Option Duration(std::string key, absl::Duration least, absl::Duration most,
                std::string help, Field field,
                absl::Duration unit = absl::Nanoseconds(1)) {
  Config defaults;
  return {
      .key = key,
      .flag = FlagOf(key),
      .value = "DURATION",
      .help = std::move(help),
      .default_text = absl::FormatDuration(field(defaults)),
      .set = [=](absl::string_view text, Config& config) {
        absl::Duration duration;
        if (!absl::ParseDuration(text, &duration) || duration < least ||
            duration > most || duration != absl::Floor(duration, unit)) {
          return MustBe(
              absl::StrCat("a duration from ", absl::FormatDuration(least),
                           " to ", absl::FormatDuration(most),
                           unit == absl::Seconds(1) ? " in whole seconds" : "",
                           ", with its unit"),
              text);
        }
        field(config) = duration;
        return absl::OkStatus();
      }};
}

template <typename Field>
Option Switch(std::string key, std::string help, Field field) {
  Config defaults;
  return {.key = key,
          .flag = FlagOf(key),
          .help = std::move(help),
          .default_text = field(defaults) ? "true" : "false",
          .set = [=](absl::string_view text, Config& config) {
            const std::string word = absl::AsciiStrToLower(text);
            if (word != "true" && word != "false") {
              return MustBe("true or false", text);
            }
            field(config) = word == "true";
            return absl::OkStatus();
          }};
}

// `choices`: the default first.
template <typename Field, typename T>
Option Choice(std::string key, std::string help,
              std::vector<std::pair<std::string, T>> choices, Field field) {
  const std::string words = absl::StrJoin(
      choices, "|",
      [](std::string* out, const auto& choice) { out->append(choice.first); });
  return {.key = key,
          .flag = FlagOf(key),
          .value = words,
          .help = std::move(help),
          .default_text = choices.front().first,
          .set = [=](absl::string_view text, Config& config) {
            for (const auto& [word, value] : choices) {
              if (word == text) {
                field(config) = value;
                return absl::OkStatus();
              }
            }
            return MustBe(absl::StrReplaceAll(words, {{"|", " or "}}), text);
          }};
}

// Where something listens, or nowhere. `prefix` goes before what
// ParseListenAddress() is given; `what` is what it must be.
template <typename Field>
Option Address(std::string key, std::string value, std::string help,
               std::string prefix, std::string what, Field field) {
  return {.key = key,
          .flag = FlagOf(key),
          .value = std::move(value),
          .help = std::move(help),
          .set = [=](absl::string_view text, Config& config) {
            if (text.empty()) {
              field(config).reset();
              return absl::OkStatus();
            }
            auto address =
                security::ParseListenAddress(absl::StrCat(prefix, text));
            if (!address.ok()) return MustBe(what, text);
            field(config) = *std::move(address);
            return absl::OkStatus();
          }};
}

}  // namespace nfmeter::app

#endif  // NFMETER_APP_OPTION_KINDS_H_
