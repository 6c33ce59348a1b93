// SPDX-License-Identifier: GPL-3.0-or-later
// What the roles of the real nfmeterd's listeners allow: each method of each
// service, gRPC's own included.
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/unknown_field_set.h>
#include <grpcpp/grpcpp.h>

#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "security/access/access.h"
#include "tests/support/status_matchers.h"
#include "tests/system/nfmeterd_process.h"

namespace nfmeter {
namespace {

using ::google::protobuf::UnknownFieldSet;
using ::nfmeter::testing::NfmeterdProcess;
using ::testing::HasSubstr;

using security::Role;
using Channel = std::shared_ptr<grpc::Channel>;

constexpr char kReflectionMethod[] =
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

// A message with one field of text.
std::string OneField(int field, const std::string& text) {
  UnknownFieldSet message;
  message.AddLengthDelimited(field, text);
  std::string bytes;
  message.SerializeToString(&bytes);
  return bytes;
}

// The texts of a field of a message.
std::vector<std::string> FieldsOf(const std::string& bytes, int field) {
  UnknownFieldSet message;
  EXPECT_TRUE(message.ParseFromString(bytes));
  std::vector<std::string> found;
  for (int i = 0; i < message.field_count(); ++i) {
    if (message.field(i).number() == field) {
      found.push_back(message.field(i).length_delimited());
    }
  }
  return found;
}

struct ServedMethod {
  std::string name;  // "nfmeter.v1.CounterService/GetCounter"
  bool streams = false;
};

// All methods of all services, as reflection tells of them: see
// reflection.proto for the fields' numbers.
std::vector<ServedMethod> MethodsServed(const Channel& channel) {
  std::vector<ServedMethod> methods;
  const auto list =
      testing::FirstAnswerRaw(channel, kReflectionMethod, OneField(7, ""));
  EXPECT_OK(list.status());
  if (!list.ok()) return methods;
  for (const std::string& service : FieldsOf(FieldsOf(*list, 6).at(0), 1)) {
    const std::string name = FieldsOf(service, 1).at(0);
    const auto answer =
        testing::FirstAnswerRaw(channel, kReflectionMethod, OneField(4, name));
    EXPECT_OK(answer.status()) << name;
    for (const std::string& bytes : FieldsOf(FieldsOf(*answer, 4).at(0), 1)) {
      google::protobuf::FileDescriptorProto file;
      EXPECT_TRUE(file.ParseFromString(bytes));
      for (const auto& each : file.service()) {
        if (absl::StrCat(file.package(), ".", each.name()) != name) continue;
        for (const auto& method : each.method()) {
          methods.push_back({absl::StrCat(name, "/", method.name()),
                             method.server_streaming()});
        }
      }
    }
  }
  return methods;
}

absl::Status CallEmpty(const Channel& channel, const ServedMethod& method) {
  return method.streams
             ? testing::FirstAnswerRaw(channel, "/" + method.name, "").status()
             : testing::CallRaw(channel, "/" + method.name, "").status();
}

Channel OverSocket(const std::string& path) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(
      "unix:" + path, grpc::InsecureChannelCredentials(), arguments);
}

// The promise that a method which nobody thought of is for nobody.
TEST(EveryMethodTest, HasARuleAndIsForItsRolesOnly) {
  testing::TemporaryDirectory dir;
  std::ofstream config(dir / "config.yaml");
  config << "listen:\n";
  const Role roles[] = {Role::kNone, Role::kViewer, Role::kOperator,
                        Role::kAdmin};
  for (const Role role : roles) {
    config << "  - {address: 'unix:" << dir / std::string(RoleName(role))
           << "', role: " << RoleName(role) << "}\n";
  }
  config.close();
  // So that streams of plans have something to say.
  std::ofstream(dir / "one.plan.yaml")
      << "name: one\naccounts: [{counter: all}]\n";
  NfmeterdProcess server({.arguments = {"--config", dir / "config.yaml",
                                        "--plan", dir / "one.plan.yaml"},
                          .listen_on_socket = false});
  ASSERT_OK(server.WaitUntilReady());
  // Kept, as gRPC takes seconds to end with its last channel.
  std::map<Role, Channel> as;
  for (const Role role : roles) {
    as[role] = OverSocket(dir / std::string(RoleName(role)));
  }
  const std::vector<ServedMethod> served = MethodsServed(as[Role::kAdmin]);
  std::set<std::string> services;
  for (const ServedMethod& method : served) {
    services.insert(method.name.substr(0, method.name.find('/')));
    const security::Method* const rule = security::FindMethod(method.name);
    ASSERT_NE(rule, nullptr) << method.name << " has no rule in access.cc";
    for (const Role role : roles) {
      const absl::Status status = CallEmpty(as[role], method);
      // No role includes flows.
      const bool denied = role < rule->least_role ||
                          rule->least_flows > security::FlowAccess::kNone;
      EXPECT_EQ(absl::IsPermissionDenied(status), denied)
          << method.name << " as " << RoleName(role) << ": " << status;
    }
  }
  // What was walked over was all.
  EXPECT_THAT(services,
              ::testing::IsSupersetOf(
                  {"nfmeter.v1.CounterService", "nfmeter.v1.RuleService",
                   "nfmeter.v1.SnapshotService", "nfmeter.v1.NodeService",
                   "grpc.health.v1.Health", "grpc.channelz.v1.Channelz",
                   "grpc.reflection.v1alpha.ServerReflection"}));
}

TEST(LoopbackRoleTest, HoldsForGrpcsOwnServicesToo) {
  NfmeterdProcess server(
      {.arguments = {"--listen", "127.0.0.1:0", "--insecure-loopback",
                     "--socket-role", "viewer"}});
  ASSERT_OK(server.WaitUntilReady());
  const Channel channel = grpc::CreateChannel(
      server.TcpAddress("127.0.0.1"), grpc::InsecureChannelCredentials());
  EXPECT_OK(testing::CallRaw(channel, "/nfmeter.v1.NodeService/GetNode", "")
                .status());
  EXPECT_THAT(
      testing::CallRaw(channel, "/grpc.channelz.v1.Channelz/GetServers", ""),
      testing::StatusIs(absl::StatusCode::kPermissionDenied,
                        HasSubstr("loopback may not call "
                                  "grpc.channelz.v1.Channelz/GetServers: that "
                                  "needs the role admin")));
}

}  // namespace
}  // namespace nfmeter
