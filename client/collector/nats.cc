// SPDX-License-Identifier: Apache-2.0
#include "collector/nats.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/src/status_macros.h"

namespace nfmeter::collector::nats {
namespace {

// Milliseconds for one answer: an election of servers takes a few seconds.
constexpr int64_t kTimeout = 5'000;
// One copy each on as many servers, where there are so many.
constexpr int kReplicas = 3;

absl::Status ToStatus(natsStatus status, jsErrCode code = jsErrCode(0)) {
  if (status == NATS_OK) return absl::OkStatus();
  if (status == NATS_NO_SERVER) {
    return absl::UnavailableError("no server of NATS answers");
  }
  const char* text = nats_GetLastError(nullptr);
  const std::string message = absl::StrCat(
      "NATS: ",
      text == nullptr || *text == '\0' ? natsStatus_GetText(status) : text);
  if (code == JSStreamWrongLastSequenceErr) return absl::AbortedError(message);
  if (code == JSStorageResourcesExceededErr ||
      code == JSMemoryResourcesExceededErr) {
    return absl::ResourceExhaustedError(message);
  }
  switch (status) {
    case NATS_NOT_FOUND:
      return absl::NotFoundError(message);
    case NATS_NOT_PERMITTED:
    case NATS_CONNECTION_AUTH_FAILED:
      return absl::PermissionDeniedError(message);
    case NATS_INVALID_ARG:
    case NATS_ADDRESS_MISSING:
      return absl::InvalidArgumentError(message);
    case NATS_ERR:
      // JetStream's own errors; those of a cluster without a leader pass.
      if (code == 0 || code == JSClusterNotAvailErr ||
          code == JSStreamOfflineErr || code == JSClusterNoPeersErr ||
          code == JSStreamNotFoundErr) {
        return absl::UnavailableError(message);
      }
      return absl::FailedPreconditionError(message);
    default:
      return absl::UnavailableError(message);
  }
}

Message ToMessage(natsMsg* from) {
  Message message;
  message.sequence = natsMsg_GetSequence(from);
  message.data.assign(natsMsg_GetData(from), natsMsg_GetDataLength(from));
  const char** keys = nullptr;
  int count = 0;
  if (natsMsgHeader_Keys(from, &keys, &count) != NATS_OK) return message;
  for (int i = 0; i < count; ++i) {
    const char* value = nullptr;
    if (natsMsgHeader_Get(from, keys[i], &value) == NATS_OK) {
      message.headers[keys[i]] = value;
    }
  }
  free(static_cast<void*>(keys));
  return message;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(
    const Options& options) {
  // NOLINTNEXTLINE(modernize-make-unique): the constructor is private.
  std::unique_ptr<Connection> connection(new Connection(options));
  NFM_RETURN_IF_ERROR(connection->Connect());
  if (options.make) {
    NFM_RETURN_IF_ERROR(connection->MakeStream());
  }
  if (!options.bucket.empty()) {
    NFM_RETURN_IF_ERROR(connection->MakeBucket());
  }
  return connection;
}

absl::Status Connection::Connect() {
  natsOptions* made = nullptr;
  NFM_RETURN_IF_ERROR(ToStatus(natsOptions_Create(&made)));
  const Owned<natsOptions, &natsOptions_Destroy> options(made);
  const std::vector<std::string> urls =
      absl::StrSplit(options_.url, ',', absl::SkipEmpty());
  std::vector<const char*> servers;
  for (const std::string& url : urls) servers.push_back(url.c_str());
  NFM_RETURN_IF_ERROR(ToStatus(natsOptions_SetServers(
      made, servers.data(), static_cast<int>(servers.size()))));
  natsOptions_SetMaxReconnect(made, -1);
  natsOptions_SetReconnectWait(made, 250);
  natsOptions_SetTimeout(made, kTimeout);
  natsOptions_SetPingInterval(made, 2'000);
  natsOptions_SetMaxPingsOut(made, 2);
  // What is not sent is an error at once: the node keeps it.
  natsOptions_SetReconnectBufSize(made, 0);
  natsOptions_SetName(made, "nfmeter-collector");
  natsConnection* connection = nullptr;
  NFM_RETURN_IF_ERROR(ToStatus(natsConnection_Connect(&connection, made)));
  connection_.reset(connection);
  jsOptions js;
  jsOptions_Init(&js);
  js.Wait = kTimeout;
  jsCtx* jetstream = nullptr;
  NFM_RETURN_IF_ERROR(
      ToStatus(natsConnection_JetStream(&jetstream, connection, &js)));
  jetstream_.reset(jetstream);
  return absl::OkStatus();
}

absl::Status Connection::MakeStream() {
  jsStreamInfo* info = nullptr;
  jsErrCode code = jsErrCode(0);
  natsStatus status = js_GetStreamInfo(&info, jetstream_.get(),
                                       options_.stream.c_str(), nullptr, &code);
  jsStreamInfo_Destroy(info);
  if (status == NATS_OK) return absl::OkStatus();
  const char* subjects[] = {options_.subjects.c_str()};
  jsStreamConfig config;
  jsStreamConfig_Init(&config);
  config.Name = options_.stream.c_str();
  config.Description = "Usage of nfmeter's nodes";
  config.Subjects = subjects;
  config.SubjectsLen = 1;
  config.Storage = js_FileStorage;
  // A full stream refuses; what is in it is not thrown away for new things.
  config.Discard = js_DiscardNew;
  config.Replicas = kReplicas;
  status = js_AddStream(nullptr, jetstream_.get(), &config, nullptr, &code);
  if (status != NATS_OK && code == JSStreamReplicasNotSupportedErr) {
    config.Replicas = 1;
    status = js_AddStream(nullptr, jetstream_.get(), &config, nullptr, &code);
  }
  if (code == JSStreamNameExistErr) return absl::OkStatus();
  return ToStatus(status, code);
}

absl::Status Connection::MakeBucket() {
  kvStore* bucket = nullptr;
  natsStatus status =
      js_KeyValue(&bucket, jetstream_.get(), options_.bucket.c_str());
  if (status == NATS_NOT_FOUND && options_.make) {
    kvConfig config;
    kvConfig_Init(&config);
    config.Bucket = options_.bucket.c_str();
    config.History = 1;
    config.StorageType = js_FileStorage;
    config.Replicas = kReplicas;
    status = js_CreateKeyValue(&bucket, jetstream_.get(), &config);
    if (status != NATS_OK) {
      config.Replicas = 1;
      status = js_CreateKeyValue(&bucket, jetstream_.get(), &config);
    }
    // Another collector may have been faster.
    if (status != NATS_OK) {
      status = js_KeyValue(&bucket, jetstream_.get(), options_.bucket.c_str());
    }
  }
  bucket_.reset(bucket);
  return ToStatus(status);
}

absl::StatusOr<std::optional<Message>> Connection::Last(
    const std::string& subject) {
  natsMsg* found = nullptr;
  jsErrCode code = jsErrCode(0);
  const natsStatus status =
      js_GetLastMsg(&found, jetstream_.get(), options_.stream.c_str(),
                    subject.c_str(), nullptr, &code);
  const Owned<natsMsg, &natsMsg_Destroy> message(found);
  if (status == NATS_NOT_FOUND && code == JSNoMessageFoundErr) {
    return std::nullopt;
  }
  NFM_RETURN_IF_ERROR(ToStatus(status, code));
  return ToMessage(found);
}

absl::StatusOr<uint64_t> Connection::Publish(const std::string& subject,
                                             const Message& message,
                                             uint64_t last) {
  jsPubOptions options;
  jsPubOptions_Init(&options);
  options.ExpectLastSubjectSeq = last;
  options.ExpectNoMessage = last == 0;
  return Send(subject, message, options);
}

absl::Status Connection::Append(const std::string& subject,
                                const Message& message, const std::string& id) {
  jsPubOptions options;
  jsPubOptions_Init(&options);
  options.MsgId = id.c_str();
  return Send(subject, message, options).status();
}

absl::StatusOr<uint64_t> Connection::Send(const std::string& subject,
                                          const Message& message,
                                          jsPubOptions& options) {
  natsMsg* made = nullptr;
  NFM_RETURN_IF_ERROR(ToStatus(
      natsMsg_Create(&made, subject.c_str(), nullptr, message.data.data(),
                     static_cast<int>(message.data.size()))));
  const Owned<natsMsg, &natsMsg_Destroy> owned(made);
  for (const auto& [key, value] : message.headers) {
    NFM_RETURN_IF_ERROR(
        ToStatus(natsMsgHeader_Set(made, key.c_str(), value.c_str())));
  }
  options.MaxWait = kTimeout;
  options.ExpectStream = options_.stream.c_str();
  jsPubAck* answer = nullptr;
  jsErrCode code = jsErrCode(0);
  const natsStatus status =
      js_PublishMsg(&answer, jetstream_.get(), made, &options, &code);
  const Owned<jsPubAck, &jsPubAck_Destroy> ack(answer);
  NFM_RETURN_IF_ERROR(ToStatus(status, code));
  return ack->Sequence;
}

absl::StatusOr<Value> Connection::Get(const std::string& key) {
  kvEntry* found = nullptr;
  const natsStatus status = kvStore_Get(&found, bucket_.get(), key.c_str());
  if (status == NATS_NOT_FOUND) return Value{};
  NFM_RETURN_IF_ERROR(ToStatus(status));
  const Owned<kvEntry, &kvEntry_Destroy> entry(found);
  return Value{kvEntry_Revision(found),
               std::string(static_cast<const char*>(kvEntry_Value(found)),
                           kvEntry_ValueLen(found)),
               absl::FromUnixNanos(kvEntry_Created(found))};
}

absl::Status Connection::Put(const std::string& key, const std::string& bytes,
                             uint64_t revision) {
  const int size = static_cast<int>(bytes.size());
  const natsStatus status =
      revision == 0 ? kvStore_Create(nullptr, bucket_.get(), key.c_str(),
                                     bytes.data(), size)
                    : kvStore_Update(nullptr, bucket_.get(), key.c_str(),
                                     bytes.data(), size, revision);
  // cnats tells no code of JetStream's here: NATS_ERR is what the servers say
  // to another revision.
  if (status == NATS_ERR) {
    return absl::AbortedError(absl::StrCat("NATS: ", key, " has changed"));
  }
  return ToStatus(status);
}

absl::StatusOr<std::vector<std::string>> Connection::Keys() {
  kvKeysList list = {};
  kvWatchOptions options;
  kvWatchOptions_Init(&options);
  options.Timeout = kTimeout;
  const natsStatus status = kvStore_Keys(&list, bucket_.get(), &options);
  std::vector<std::string> keys;
  for (int i = 0; i < list.Count; ++i) keys.emplace_back(list.Keys[i]);
  kvKeysList_Destroy(&list);
  if (status == NATS_NOT_FOUND) return keys;
  NFM_RETURN_IF_ERROR(ToStatus(status));
  return keys;
}

}  // namespace nfmeter::collector::nats
