# ritornello::ritornello is the shared library, ritornello::static the other one.

get_filename_component(_ritornello_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
find_path(RITORNELLO_INCLUDE_DIR ritornello.h
  PATHS "${_ritornello_prefix}/include" NO_DEFAULT_PATH REQUIRED)
find_library(RITORNELLO_SHARED NAMES libritornello.so libritornello.dylib ritornello
  PATHS "${_ritornello_prefix}" PATH_SUFFIXES lib lib64 NO_DEFAULT_PATH)
find_library(RITORNELLO_STATIC NAMES libritornello.a
  PATHS "${_ritornello_prefix}" PATH_SUFFIXES lib lib64 NO_DEFAULT_PATH)

if(RITORNELLO_SHARED AND NOT TARGET ritornello::ritornello)
  add_library(ritornello::ritornello SHARED IMPORTED)
  set_target_properties(ritornello::ritornello PROPERTIES
    IMPORTED_LOCATION "${RITORNELLO_SHARED}"
    INTERFACE_INCLUDE_DIRECTORIES "${RITORNELLO_INCLUDE_DIR}")
endif()

if(RITORNELLO_STATIC AND NOT TARGET ritornello::static)
  find_package(Threads REQUIRED)
  add_library(ritornello::static STATIC IMPORTED)
  set_target_properties(ritornello::static PROPERTIES
    IMPORTED_LOCATION "${RITORNELLO_STATIC}"
    INTERFACE_INCLUDE_DIRECTORIES "${RITORNELLO_INCLUDE_DIR}"
    INTERFACE_LINK_LIBRARIES "Threads::Threads;gcc_s;util;rt;m;${CMAKE_DL_LIBS}")
endif()

if(NOT RITORNELLO_SHARED AND NOT RITORNELLO_STATIC)
  set(ritornello_FOUND FALSE)
  set(ritornello_NOT_FOUND_MESSAGE "no library under ${_ritornello_prefix}")
endif()
unset(_ritornello_prefix)
