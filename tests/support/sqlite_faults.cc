// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/sqlite_faults.h"

#include <sqlite3.h>

#include <atomic>
#include <new>

namespace nfmeter::testing {
namespace {

// One disk is enough for a process of one test, which sets it while others
// write.
struct Disk {
  std::atomic<int> write_result = SQLITE_OK;
  std::atomic<int> writes_left = 0;
  std::atomic<int> read_result = SQLITE_OK;
  std::atomic<int> syncs = 0;
};
Disk disk;

int Writing() {
  const int result = disk.write_result;
  if (result == SQLITE_OK) return SQLITE_OK;
  return disk.writes_left-- > 0 ? SQLITE_OK : result;
}

// The real file lies behind it.
struct File {
  sqlite3_file base;
  sqlite3_io_methods methods;
};
sqlite3_file* RealOf(sqlite3_file* file) {
  return reinterpret_cast<sqlite3_file*>(reinterpret_cast<File*>(file) + 1);
}

// What is not to fail is passed on as it is: calls member `M` of the real file.
template <auto M, typename... Args>
auto Pass(sqlite3_file* file, Args... args) {
  sqlite3_file* const real = RealOf(file);
  return (real->pMethods->*M)(real, args...);
}

template <auto M, typename... Args>
int PassWriting(sqlite3_file* file, Args... args) {
  const int result = Writing();
  return result == SQLITE_OK ? Pass<M>(file, args...) : result;
}

int Sync(sqlite3_file* file, int flags) {
  ++disk.syncs;
  return PassWriting<&sqlite3_io_methods::xSync>(file, flags);
}

int Read(sqlite3_file* file, void* bytes, int size, sqlite3_int64 offset) {
  const int result = disk.read_result;
  if (result != SQLITE_OK) return result;
  return Pass<&sqlite3_io_methods::xRead>(file, bytes, size, offset);
}

int Open(sqlite3_vfs* vfs, const char* path, sqlite3_file* opened,
         int flags, int* out_flags) {
  using M = sqlite3_io_methods;
  auto* const default_vfs = static_cast<sqlite3_vfs*>(vfs->pAppData);
  File* const file = new (opened) File();
  sqlite3_file* const real = RealOf(opened);
  const int result =
      default_vfs->xOpen(default_vfs, path, real, flags, out_flags);
  if (real->pMethods == nullptr) return result;
  file->methods = M{
      .iVersion = 2,  // shared memory, but no mapped reads, which can't fail
      .xClose = Pass<&M::xClose>,
      .xRead = Read,
      .xWrite = PassWriting<&M::xWrite, const void*, int, sqlite3_int64>,
      .xTruncate = PassWriting<&M::xTruncate, sqlite3_int64>,
      .xSync = Sync,
      .xFileSize = Pass<&M::xFileSize, sqlite3_int64*>,
      .xLock = Pass<&M::xLock, int>,
      .xUnlock = Pass<&M::xUnlock, int>,
      .xCheckReservedLock = Pass<&M::xCheckReservedLock, int*>,
      .xFileControl = Pass<&M::xFileControl, int, void*>,
      .xSectorSize = Pass<&M::xSectorSize>,
      .xDeviceCharacteristics = Pass<&M::xDeviceCharacteristics>,
      .xShmMap = Pass<&M::xShmMap, int, int, int, void volatile**>,
      .xShmLock = Pass<&M::xShmLock, int, int, int>,
      .xShmBarrier = Pass<&M::xShmBarrier>,
      .xShmUnmap = Pass<&M::xShmUnmap, int>,
      .xFetch = nullptr,
      .xUnfetch = nullptr,
  };
  file->base.pMethods = &file->methods;
  return result;
}

sqlite3_vfs faulty;

}  // namespace

SqliteFaults::SqliteFaults() : name_("nfmeter-faults") {
  sqlite3_vfs* const real = sqlite3_vfs_find(nullptr);
  Mend();
  disk.syncs = 0;
  faulty = *real;
  faulty.pNext = nullptr;
  faulty.zName = name_.c_str();
  faulty.szOsFile = static_cast<int>(sizeof(File)) + real->szOsFile;
  faulty.pAppData = real;
  faulty.xOpen = Open;
  sqlite3_vfs_register(&faulty, /*makeDflt=*/0);
}

SqliteFaults::~SqliteFaults() { sqlite3_vfs_unregister(&faulty); }

void SqliteFaults::FailWrites(int result, int more) {
  disk.writes_left = more;
  disk.write_result = result;
}

void SqliteFaults::FailReads(int result) { disk.read_result = result; }

void SqliteFaults::Mend() {
  disk.write_result = SQLITE_OK;
  disk.read_result = SQLITE_OK;
}

int SqliteFaults::syncs() const { return disk.syncs; }

}  // namespace nfmeter::testing
