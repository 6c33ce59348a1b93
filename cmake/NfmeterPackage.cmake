# SPDX-License-Identifier: Apache-2.0
# What is installed beside the programs: unit, man pages, completions,
# documentation; and the Debian packages nfmeter, nfmeter-collector and
# libnfmeter-dev, which scripts/package makes.
set(packaging ${CMAKE_SOURCE_DIR}/packaging)
set(generated ${CMAKE_BINARY_DIR}/packaging)
file(MAKE_DIRECTORY ${generated})

# Man pages and the changelog are installed as Debian wants them: compressed,
# and the same each time.
find_program(NFMETER_GZIP gzip REQUIRED)
function(nfmeter_install_compressed source destination component)
  get_filename_component(name ${source} NAME)
  set(compressed ${generated}/${name}.gz)
  add_custom_command(
    OUTPUT ${compressed}
    COMMAND ${NFMETER_GZIP} -9 -n -c ${source} > ${compressed}
    DEPENDS ${source} VERBATIM)
  set_property(GLOBAL APPEND PROPERTY NFMETER_GENERATED ${compressed})
  install(FILES ${compressed} DESTINATION ${destination}
          COMPONENT ${component})
endfunction()

function(nfmeter_install_completion shell file)
  set(script ${generated}/completion.${shell})
  add_custom_command(
    OUTPUT ${script}
    COMMAND nfmeter_cli completion ${shell} > ${script}
    DEPENDS nfmeter_cli VERBATIM)
  set_property(GLOBAL APPEND PROPERTY NFMETER_GENERATED ${script})
  cmake_path(GET file PARENT_PATH folder)
  cmake_path(GET file FILENAME name)
  install(FILES ${script} RENAME ${name}
          DESTINATION ${CMAKE_INSTALL_DATADIR}/${folder} COMPONENT nfmeter)
endfunction()

foreach(page nfmeterd.8 nfmeter.1 nfmeter.yaml.5 nfmeter-policy.5)
  cmake_path(GET page EXTENSION LAST_ONLY section)
  string(SUBSTRING ${section} 1 1 section)
  nfmeter_install_compressed(${packaging}/man/${page}
    ${CMAKE_INSTALL_MANDIR}/man${section} nfmeter)
endforeach()
# One for each command, from its help.
add_custom_command(
  OUTPUT ${generated}/man1.stamp
  COMMAND ${packaging}/man/generate $<TARGET_FILE:nfmeter_cli> ${generated}/man1
  COMMAND ${CMAKE_COMMAND} -E touch ${generated}/man1.stamp
  DEPENDS nfmeter_cli ${packaging}/man/generate VERBATIM)
set_property(GLOBAL APPEND PROPERTY NFMETER_GENERATED ${generated}/man1.stamp)
install(DIRECTORY ${generated}/man1/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1
        COMPONENT nfmeter)
nfmeter_install_completion(bash bash-completion/completions/nfmeter)
nfmeter_install_completion(zsh zsh/vendor-completions/_nfmeter)
nfmeter_install_completion(fish fish/vendor_completions.d/nfmeter.fish)

install(FILES ${packaging}/nfmeterd.service
              ${packaging}/nfmeter-objects.service
        DESTINATION lib/systemd/system COMPONENT nfmeter)
# The units name the program by its place.
install(CODE [[
  foreach(name nfmeterd nfmeter-objects)
    set(unit "$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}/lib/systemd/system/${name}.service")
    file(READ "${unit}" text)
    string(REPLACE "/usr/sbin/nfmeterd"
           "${CMAKE_INSTALL_PREFIX}/sbin/nfmeterd" text "${text}")
    file(WRITE "${unit}.new" "${text}")
    file(RENAME "${unit}.new" "${unit}")
  endforeach()
]] COMPONENT nfmeter)
install(FILES ${packaging}/nfmeter.sysusers RENAME nfmeter.conf
        DESTINATION lib/sysusers.d COMPONENT nfmeter)
install(FILES ${packaging}/nfmeter.tmpfiles RENAME nfmeter.conf
        DESTINATION lib/tmpfiles.d COMPONENT nfmeter)
install(FILES ${packaging}/nfmeter.yaml ${packaging}/policy.yaml
        DESTINATION ${CMAKE_INSTALL_DATADIR}/nfmeter COMPONENT nfmeter)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/charts/nfmeter/files/
        DESTINATION ${CMAKE_INSTALL_DATADIR}/nfmeter COMPONENT nfmeter)
install(FILES ${CMAKE_SOURCE_DIR}/README.md
        DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT nfmeter)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/docs
        DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT nfmeter
        FILES_MATCHING PATTERN "*.md")
install(FILES ${CMAKE_SOURCE_DIR}/docs/plan.schema.json
        DESTINATION ${CMAKE_INSTALL_DATADIR}/nfmeter COMPONENT nfmeter)

if(TARGET nfmeter_collector)
  nfmeter_install_compressed(${packaging}/man/nfmeter-collector.8
    ${CMAKE_INSTALL_MANDIR}/man8 collector)
  install(FILES ${packaging}/collector/nfmeter-collector.service
          DESTINATION lib/systemd/system COMPONENT collector)
  install(FILES ${packaging}/collector/nfmeter-collector.sysusers
          RENAME nfmeter-collector.conf
          DESTINATION lib/sysusers.d COMPONENT collector)
  install(FILES ${packaging}/collector/nodes.yaml
          DESTINATION /etc/nfmeter-collector COMPONENT collector_debian
          EXCLUDE_FROM_ALL)
  install(FILES ${packaging}/collector/nfmeter-collector.default
          RENAME nfmeter-collector DESTINATION /etc/default
          COMPONENT collector_debian EXCLUDE_FROM_ALL)
  install(FILES ${packaging}/debian/copyright ${CMAKE_SOURCE_DIR}/docs/fleet.md
          DESTINATION share/doc/nfmeter-collector COMPONENT collector)
  install(DIRECTORY ${CMAKE_SOURCE_DIR}/charts/nfmeter-collector/files/
          DESTINATION ${CMAKE_INSTALL_DATADIR}/nfmeter-collector
          COMPONENT collector)
endif()

# In the Debian package only: /etc is the administrator's.
file(READ ${CMAKE_SOURCE_DIR}/packaging/debian/changelog.in changelog)
string(CONFIGURE "${changelog}" changelog @ONLY)
file(GENERATE OUTPUT ${generated}/changelog CONTENT "${changelog}")
nfmeter_install_compressed(${generated}/changelog
  share/doc/nfmeter debian)
if(TARGET nfmeter_collector)
  install(FILES ${generated}/changelog.gz
          DESTINATION share/doc/nfmeter-collector COMPONENT collector_debian
          EXCLUDE_FROM_ALL)
endif()
install(FILES ${packaging}/nfmeter.yaml ${packaging}/policy.yaml
        DESTINATION /etc/nfmeter COMPONENT debian EXCLUDE_FROM_ALL)
install(FILES ${packaging}/debian/copyright
        DESTINATION share/doc/nfmeter COMPONENT debian EXCLUDE_FROM_ALL)
install(FILES ${packaging}/debian/copyright
        DESTINATION share/doc/libnfmeter-dev COMPONENT sdk)

get_property(outputs GLOBAL PROPERTY NFMETER_GENERATED)
# All that is installed or packed.
add_custom_target(nfmeter_packaging ALL DEPENDS ${outputs})
add_dependencies(nfmeter_packaging nfmeterd nfmeter_cli nfmeter_client)
if(TARGET nfmeter_collector)
  add_dependencies(nfmeter_packaging nfmeter_collector)
endif()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME nfmeter)
set(CPACK_PACKAGE_VENDOR nfmeter)
set(CPACK_PACKAGE_CONTACT "nfmeter maintainers <maintainers@nfmeter.invalid>")
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR})
# By DESTDIR, so that /etc is the package's and not this host's.
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ
    WORLD_EXECUTE)
set(CPACK_COMPONENTS_ALL nfmeter debian sdk collector collector_debian)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENT_NFMETER_GROUP nfmeter)
set(CPACK_COMPONENT_DEBIAN_GROUP nfmeter)
set(CPACK_COMPONENT_SDK_GROUP sdk)
set(CPACK_COMPONENT_COLLECTOR_GROUP collector)
set(CPACK_COMPONENT_COLLECTOR_DEBIAN_GROUP collector)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)

set(CPACK_DEBIAN_NFMETER_PACKAGE_NAME nfmeter)
set(CPACK_DEBIAN_NFMETER_PACKAGE_SECTION net)
set(CPACK_DEBIAN_NFMETER_PACKAGE_DEPENDS "passwd")
set(CPACK_DEBIAN_NFMETER_PACKAGE_RECOMMENDS "iptables")
set(CPACK_DEBIAN_NFMETER_PACKAGE_SUGGESTS "nfacct, prometheus")
set(CPACK_DEBIAN_NFMETER_PACKAGE_CONTROL_EXTRA
    "${packaging}/debian/postinst;${packaging}/debian/prerm;${packaging}/debian/postrm;${packaging}/debian/conffiles")
set(CPACK_DEBIAN_NFMETER_DESCRIPTION
"network accounting over gRPC
nfmeterd gives the kernel's nfacct counters and the iptables rules that feed
them to whoever runs many hosts: typed calls, batches of ten thousand, streams
of complete snapshots, quota events. nfmeter is its command line.")

set(CPACK_DEBIAN_SDK_PACKAGE_NAME libnfmeter-dev)
set(CPACK_DEBIAN_SDK_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_SDK_PACKAGE_SHLIBDEPS OFF)
# The CMake package of gRPC wants its compiler to be there, too.
set(CPACK_DEBIAN_SDK_PACKAGE_DEPENDS
    "libgrpc++-dev (>= 1.51), libprotobuf-dev (>= 3.21), libabsl-dev (>= 0~20220623), protobuf-compiler-grpc")
set(CPACK_DEBIAN_SDK_DESCRIPTION
"C++ SDK of nfmeter, network accounting over gRPC
A client that retries, pages and resumes by itself, as the CMake package
nfmeter (target nfmeter::client), with examples and the protos.")

set(CPACK_DEBIAN_COLLECTOR_PACKAGE_NAME nfmeter-collector)
set(CPACK_DEBIAN_COLLECTOR_PACKAGE_SECTION net)
set(CPACK_DEBIAN_COLLECTOR_PACKAGE_DEPENDS "passwd")
set(CPACK_DEBIAN_COLLECTOR_PACKAGE_SUGGESTS "postgresql, nats-server, sqlite3, prometheus")
set(CPACK_DEBIAN_COLLECTOR_PACKAGE_CONTROL_EXTRA
    "${packaging}/collector/postinst;${packaging}/collector/prerm;${packaging}/collector/postrm;${packaging}/collector/conffiles")
set(CPACK_DEBIAN_COLLECTOR_DESCRIPTION
"network accounting over gRPC: usage of many hosts in a database
nfmeter-collector follows the ledgers of many nfmeterds and stores what they
counted in SQLite, PostgreSQL or NATS JetStream, each byte exactly once.
Several of them share a fleet's nodes.")
include(CPack)
