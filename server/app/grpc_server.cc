// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/grpc_server.h"

#include <grpcpp/ext/channelz_service_plugin.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/server_builder_option.h>
#include <grpcpp/resource_quota.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "grpc/health/v1/health.pb.h"

namespace nfmeter::app {
namespace {

int Milliseconds(absl::Duration duration) {
  return static_cast<int>(absl::ToInt64Milliseconds(duration));
}

// A connection has this long to say what it wants.
constexpr absl::Duration kHandshakeTimeout = absl::Seconds(5);
// Connections whose peer has gone without a word are found after these.
constexpr absl::Duration kKeepaliveTime = absl::Minutes(1);
constexpr absl::Duration kKeepaliveTimeout = absl::Seconds(20);
// Clients may ask for signs of life this often.
constexpr absl::Duration kLeastPingInterval = absl::Seconds(10);
constexpr int kMaxMetadataBytes = 16 << 10;

// Linking reflection is enough to have it, so it has to be taken away.
class WithoutReflection : public grpc::ServerBuilderOption {
 public:
  using Plugins = std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>;

  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(Plugins* plugins) override {
    plugins->erase(std::remove_if(plugins->begin(), plugins->end(),
                                  [](const auto& plugin) {
                                    return plugin->name() ==
                                           "proto_server_reflection";
                                  }),
                   plugins->end());
  }
};

}  // namespace

void InitGrpc(const Config& config) {
  grpc::EnableDefaultHealthCheckService(true);
  // gRPC's own health service has no description for reflection to find.
  grpc::health::v1::HealthCheckRequest::descriptor();
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  if (ServesChannelz(config)) {
    grpc::channelz::experimental::InitChannelzService();
  }
}

bool ServesChannelz(const Config& config) {
  return config.channelz && config.listen.AllLocal();
}

void ConfigureServer(const Config& config, bool over_tls,
                     grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(
      static_cast<int>(config.limits.max_request_bytes));
  builder.SetResourceQuota(
      grpc::ResourceQuota("nfmeterd")
          .SetMaxThreads(static_cast<int>(config.max_threads)));
  if (!config.reflection) {
    builder.SetOption(std::make_unique<WithoutReflection>());
  }
  const std::pair<const char*, int> arguments[] = {
      {GRPC_ARG_MAX_CONCURRENT_STREAMS,
       static_cast<int>(config.max_streams_per_connection)},
      {GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes},
      {GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, Milliseconds(kHandshakeTimeout)},
      {GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(kKeepaliveTime)},
      {GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Milliseconds(kKeepaliveTimeout)},
      {GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1},
      {GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
       Milliseconds(kLeastPingInterval)},
      {GRPC_ARG_ENABLE_CHANNELZ, ServesChannelz(config) ? 1 : 0},
      // Compressed requests are refused, as only inflating one tells how large
      // it becomes.
      {GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET,
       1 << GRPC_COMPRESS_NONE},
      // Answers are not compressed: that would be done again for each stream,
      // and frames are compact already.
      {GRPC_COMPRESSION_CHANNEL_DEFAULT_ALGORITHM, GRPC_COMPRESS_NONE}};
  for (const auto& [name, value] : arguments) {
    builder.AddChannelArgument(name, value);
  }
  if (over_tls) {
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                               Milliseconds(config.tls_connection_age));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
                               Milliseconds(config.tls_connection_grace));
  }
}

}  // namespace nfmeter::app
