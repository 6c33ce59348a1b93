// SPDX-License-Identifier: GPL-3.0-or-later
// gRPC, set up for a server that runs unattended.
#ifndef NFMETER_APP_GRPC_SERVER_H_
#define NFMETER_APP_GRPC_SERVER_H_

#include <grpcpp/server_builder.h>

#include "app/config.h"

namespace nfmeter::app {

// Once per process and before the first server: gRPC's own services.
void InitGrpc(const Config& config);

// Whether grpc.channelz.v1 is served: it tells about all connections, so only
// when nobody outside this host can ask.
bool ServesChannelz(const Config& config);

// Bounds and timeouts of the server to be built. `over_tls`: of that for the
// listeners with TLS, whose connections have an age; gRPC knows only one for
// all of a server's.
void ConfigureServer(const Config& config, bool over_tls,
                     grpc::ServerBuilder& builder);

}  // namespace nfmeter::app

#endif  // NFMETER_APP_GRPC_SERVER_H_
