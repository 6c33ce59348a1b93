// SPDX-License-Identifier: GPL-3.0-or-later
// A gRPC service all of whose methods pass the gate.
#ifndef NFMETER_SERVICE_GATE_GATED_SERVICE_H_
#define NFMETER_SERVICE_GATE_GATED_SERVICE_H_

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "security/access/access.h"
#include "service/gate/call.h"
#include "service/gate/gate.h"
#include "service/gate/stream_call.h"
#include "service/gate/unary_call.h"

namespace nfmeter::service {

// The base of a service: `class NodeService : GatedService<v1::NodeService>`.
// Its constructor says which handler serves which method, all of them; what
// serving takes, and who may call, stands in the table of methods
// (security/access/access.cc). A handler gets a request that was let in and
// parsed, on a thread that may wait as long as the table says.
template <typename Generated>
class GatedService : public Generated::Service {
 protected:
  explicit GatedService(Gate& gate) : gate_(gate) {}

  // Unary("GetNode", &NodeService::GetNode)
  template <typename Service, typename Request, typename Response>
  void Unary(absl::string_view method,
             absl::Status (Service::*handler)(const Call&, const Request&,
                                              Response*)) {
    class Handled final : public UnaryMethod {
     public:
      Handled(const security::Method& listed, Service& service,
              decltype(handler) serve)
          : UnaryMethod(listed), service_(service), serve_(serve) {}

      Message* NewRequest(google::protobuf::Arena* arena) const override {
        return google::protobuf::Arena::CreateMessage<Request>(arena);
      }
      Message* NewResponse(google::protobuf::Arena* arena) const override {
        return google::protobuf::Arena::CreateMessage<Response>(arena);
      }
      CallSubject SubjectOf(const Message& request) const override {
        return service::SubjectOf(static_cast<const Request&>(request));
      }
      security::Work WorkOf(const Message& request) const override {
        if constexpr (requires(Request r) { r.delete_managed_rules(); }) {
          if (static_cast<const Request&>(request).delete_managed_rules()) {
            return security::Work::kRuleChange;
          }
        }
        if constexpr (requires(Request r) { r.update_mask(); }) {
          // It moves rules, where the kernel can't change a quota in place.
          if (ChangesQuota(static_cast<const Request&>(request))) {
            return security::Work::kRuleChange;
          }
        }
        return listed().work;
      }
      absl::Status Serve(const Call& call, const Message& request,
                         Message* response) const override {
        return (service_.*serve_)(call, static_cast<const Request&>(request),
                                  static_cast<Response*>(response));
      }

     private:
      Service& service_;
      const decltype(handler) serve_;
    };
    auto made = std::make_shared<const Handled>(
        Listed(method), static_cast<Service&>(*this), handler);
    Take(method, [this, made](grpc::CallbackServerContext* context) {
      return new UnaryCall(gate_, *made, *context);
    });
  }

  // Stream("WatchSnapshots", &SnapshotService::WatchSnapshots)
  template <typename Service, typename Request>
  void Stream(absl::string_view method,
              absl::Status (Service::*handler)(const Call&, const Request&)) {
    class Handled final : public StreamMethod {
     public:
      Handled(const security::Method& listed, Service& service,
              decltype(handler) open)
          : StreamMethod(listed), service_(service), open_(open) {}

      Message* NewRequest(google::protobuf::Arena* arena) const override {
        return google::protobuf::Arena::CreateMessage<Request>(arena);
      }
      CallSubject SubjectOf(const Message& request) const override {
        return service::SubjectOf(static_cast<const Request&>(request));
      }
      absl::Status Open(const Call& call,
                        const Message& request) const override {
        return (service_.*open_)(call, static_cast<const Request&>(request));
      }

     private:
      Service& service_;
      const decltype(handler) open_;
    };
    auto made = std::make_shared<const Handled>(
        Listed(method), static_cast<Service&>(*this), handler);
    Take(method, [this, made](grpc::CallbackServerContext* context) {
      return new StreamCall(gate_, *made, *context);
    });
  }

  const Gate& gate() const { return gate_; }

 private:
  // The method's row. Nobody may call what has none.
  static const security::Method& Listed(absl::string_view method) {
    static constexpr security::Method kUnlisted = {"unlisted",
                                                   security::Role::kNobody};
    const security::Method* const found = security::FindMethod(
        absl::StrCat(Generated::service_full_name(), "/", method));
    return found == nullptr ? kUnlisted : *found;
  }

  // Whether an update may change the counter's quota.
  template <typename Request>
  static bool ChangesQuota(const Request& request) {
    for (const std::string& path : request.update_mask().paths()) {
      if (path == "quota" || path == "*") return true;
    }
    return request.update_mask().paths().empty() &&
           request.counter().has_quota();
  }

  // Methods are known to gRPC by their place in the service.
  template <typename MakeReactor>
  void Take(absl::string_view method, MakeReactor make_reactor) {
    const int index = google::protobuf::DescriptorPool::generated_pool()
                          ->FindServiceByName(Generated::service_full_name())
                          ->FindMethodByName(std::string(method))
                          ->index();
    using Handler =
        grpc::internal::CallbackBidiHandler<grpc::ByteBuffer, grpc::ByteBuffer>;
    // The first makes it a stream, see UnaryCall; the second, one of callbacks
    // and bytes. The latter's handler takes the place of the former's.
    this->MarkMethodStreamed(index, new Handler(make_reactor));
    this->MarkMethodRawCallback(index, new Handler(make_reactor));
  }

  Gate& gate_;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_GATE_GATED_SERVICE_H_
