// SPDX-License-Identifier: Apache-2.0
// Lists that come in pages.
#ifndef NFMETER_CLIENT_SRC_PAGES_H_
#define NFMETER_CLIENT_SRC_PAGES_H_

#include <functional>

#include "absl/status/status.h"
#include "client/src/connection.h"
#include "client/src/status_macros.h"
#include "nfmeter/options.h"

namespace nfmeter::client_internal {

// Calls `method` page by page, until `page` returns false or there is no more.
// DATA_LOSS: the server gave the same page twice.
template <typename Response, typename Stub, typename Request>
absl::Status Pages(Connection& connection,
                   grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                const Request&, Response*),
                   Request request,
                   const std::function<bool(const Response&)>& page,
                   const CallOptions& options) {
  for (;;) {
    NFM_ASSIGN_OR_RETURN(const auto response,
                         connection.Unary(method, request, options));
    if (!page(response) || response.next_page_token().empty()) {
      return absl::OkStatus();
    }
    if (response.next_page_token() == request.page_token()) {
      return absl::DataLossError(
          "the server gave the same page token twice; the list would never "
          "end");
    }
    request.set_page_token(response.next_page_token());
  }
}

// All pages in one answer.
template <typename Response, typename Stub, typename Request>
absl::StatusOr<Response> AllPages(
    Connection& connection,
    grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                 Response*),
    const Request& request, const CallOptions& options) {
  Response all;
  const absl::Status status =
      Pages(connection, method, request,
            std::function<bool(const Response&)>([&](const Response& page) {
              all.MergeFrom(page);
              return true;
            }),
            options);
  if (!status.ok()) return status;
  all.clear_next_page_token();
  return all;
}

}  // namespace nfmeter::client_internal

#endif  // NFMETER_CLIENT_SRC_PAGES_H_
